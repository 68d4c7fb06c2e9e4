package e2e_test

import "strings"

const jsonType = "application/json"

// inJSONBodies are the places of secrets in JSON, and in what passes for it.
func inJSONBodies() (all []position) {
	add := func(name, text string, c coding) {
		all = append(all, position{name: "JSON, " + name, kind: jsonType, text: text, coding: c})
	}
	for _, name := range []string{
		"password", "PASSWORD", "PassWord", "adminPass", "admin-pass", "admin_pass", "Admin Pass", "db_password", "newPassword1",
		"original_password", "passwd", "passphrase", "client_secret", "clientSecret", "secret", "token", "access_token", "refreshToken",
		"id_token", "api_key", "apiKey", "X-Auth-Token", "private_key", "secret_access_key", "user_data", "auth_key", "authorization", "cookie",
		"spring.datasource.password", "user[password]", "users[0].password", "pa\u017f\u017fword",
		`\u0070assword`, `pass\u0077ord`, `\u0050\u0041\u0053\u0053WORD`, `\u0070\u0061\u0073\u0073\u0077\u006f\u0072\u0064`, `client\u005fsecret`,
	} {
		add("name "+name, `{"note":"¶","`+name+`":"§"}`, inJSON)
	}
	for _, depth := range []int{2, 3, 10, 50} {
		add("depth "+strings.Repeat("I", min(depth, 10))+map[bool]string{true: "…"}[depth > 10],
			`{"note":"¶","in":`+strings.Repeat(`{"in":`, depth)+`{"password":"§"}`+strings.Repeat(`}`, depth)+`}`, inJSON)
	}
	add("depth thousands of arrays", strings.Repeat(`[`, 5000)+`{"password":"§"}`+strings.Repeat(`]`, 5000), inJSON)
	add("in an array", `{"note":"¶","users":[{"n":1},{"n":2,"password":"§"}]}`, inJSON)
	add("array at the top", `["¶",[{"password":"§"}]]`, inJSON)
	add("an array as value", `{"note":"¶","password":["x","§",["y"]]}`, inJSON)
	add("an object as value", `{"note":"¶","credentials":{"type":"x","deep":{"value":"§"}}}`, inJSON)
	add("a name of an object as value", `{"note":"¶","secrets":{"§":1}}`, inJSON)
	add("all of it escaped", `{"note":"¶","password":"§"}`, hexJSON)
	add("slashes escaped", `{"note":"¶","password":"§"}`, func(s string) string { return strings.ReplaceAll(inJSON(s), "/", `\/`) })
	add("twice the same name", `{"note":"¶","password":"x","password":"§"}`, inJSON)
	add("twice, once escaped", `{"note":"¶","password":"","p\u0061ssword":"§"}`, inJSON)
	add("with spaces", "{ \"note\" : \"¶\" ,\r\n\t\"password\"\t:\r\n \"§\" }", inJSON)
	add("after much", `{"note":"¶","items":[`+strings.Repeat(`{"id":1,"name":"x"},`, 100)+`1],"password":"§"}`, inJSON)
	add("in base64", `{"note":"¶","user_data":"§"}`, inBase64)
	all = append(all, position{name: "JSON, a number", kind: jsonType, text: `{"note":"¶","pin":§}`, shape: aNumber},
		position{name: "JSON, numbers of an array", kind: jsonType, text: `{"note":"¶","otp":[1,§]}`, shape: aNumber})

	// Text within text.
	inner := func(text string, n int) string {
		for range n {
			text = `{"in":` + quote(text) + `}`
		}
		return text
	}
	add("in a string", inner(`{"note":"¶","password":"§"}`, 1), then(inJSON, inJSON))
	add("in a string in a string", inner(`{"note":"¶","password":"§"}`, 2), then(inJSON, inJSON, inJSON))
	add("in a string, three deep", inner(`{"note":"¶","password":"§"}`, 3), then(inJSON, inJSON, inJSON, inJSON))
	add("in a string, ten deep", inner(`{"password":"§"}`, 10), nil)
	for name, text := range sorted(map[string]string{
		"a form":                         "note=¶&user=x&password=§",
		"a URL with a query":             "https://h/¶?a=1&token=§",
		"user information":               "https://alice:§@h/¶",
		"a signed URL":                   "https://s3/¶?X-Amz-Date=1&X-Amz-Signature=§&x=1",
		"a SAS":                          "https://blob/¶?sv=2022&sig=§",
		"a temporary URL":                "/v1/AUTH_x/¶?temp_url_sig=§&temp_url_expires=1",
		"a DSN":                          "mysql://root:§@db/¶",
		"a DSN of pairs":                 "host=¶ user=x password=§ dbname=y",
		"a connection string":            "Server=¶;Uid=x;Password=§;",
		"a message":                      "¶: login failed: password=§",
		"a header":                       "note: ¶\nAuthorization: Bearer §",
		"a bearer":                       "¶ Bearer §",
		"a curl":                         "curl -H 'X-Auth-Token: §' http://h/¶",
		"an option":                      "¶ --password=§",
		"an option and its value":        "¶ --password § --verbose",
		"YAML":                           "note: ¶\npassword: §\n",
		"YAML, deeper":                   "note: ¶\ndb:\n  password: \"§\"\n",
		"YAML, a block":                  "note: ¶\npassword: |\n  x\n  §\n",
		"INI":                            "[db]\nnote = ¶\npassword = §\n",
		"an environment file":            "NOTE=¶\nexport DB_PASSWORD='§'\n",
		"an XML element":                 "<r><note>¶</note><password>§</password></r>",
		"an XML attribute":               `<r note="¶"><user password="§"/></r>`,
		"cloud-config":                   "#cloud-config\nnote: ¶\nchpasswd:\n  list: |\n    root:§\n",
		"a Python repr":                  `¶ {'password': '§'}`,
		"a Java map":                     `¶ {user=x, password=§}`,
		"a Go struct":                    `¶ {User:x Password:§}`,
		"JSON behind words":              `¶ {"password": "§"}`,
		"GraphQL":                        `mutation { login(user: "¶", password: "§") { id } }`,
		"SQL":                            `¶ SET password = '§'`,
		"a stack trace":                  "¶\n\tat x.y.Z (password=§)\n\tat main",
		"an HTML field":                  `<p>¶<input type="password" name="password" value="§">`,
		"a cookie line":                  "¶\r\nSet-Cookie: sid=§; Path=/\r\n",
		"what an error of Go's says":     `Get "https://h/¶?token=§": dial tcp: refused`,
		"what an error of Python's says": "HTTPConnectionPool: url: /¶?password=§ (Caused by …)",
	}) {
		add("a string with "+name, `{"message":`+quote(text)+`}`, nil)
	}
	add("a URL with escaped slashes", `{"note":"¶","url":"https:\/\/alice:§@h\/x"}`, nil)
	add("basic credentials in a string", `{"note":"¶","sent":"Authorization: Basic §"}`, asUser)
	add("a form in a string, coded", `{"message":"note=¶&password=§"}`, then(percent, inJSON))
	add("JSON in a form in a string", `{"message":"note=¶&data=`+percent(`{"password":"`)+`§`+percent(`"}`)+`"}`, then(inJSON, percent, inJSON))

	// Names beside their values.
	for name, text := range sorted(map[string]string{
		"name and value":         `{"env":[{"name":"NOTE","value":"¶"},{"name":"DB_PASSWORD","value":"§"}]}`,
		"value and name":         `{"env":[{"value":"¶","name":"NOTE"},{"value":"§","name":"DB_PASSWORD"}]}`,
		"key and value":          `{"tags":[{"key":"note","value":"¶"},{"key":"api_key","value":"§"}]}`,
		"Key and Value":          `{"Tags":[{"Key":"note","Value":"¶"},{"Key":"ApiKey","Value":"§"}]}`,
		"name and an object":     `{"note":"¶","env":[{"name":"password","value":{"plain":["§"]}}]}`,
		"with more between":      `{"note":"¶","env":[{"name":"password","type":"string","required":true,"value":"§"}]}`,
		"a JSON patch":           `[{"op":"add","path":"/note","value":"¶"},{"op":"add","path":"/server/adminPass","value":"§"}]`,
		"arguments of a command": `{"note":"¶","args":["--verbose","--password=§"]}`,
		"an annotation":          `{"note":"¶","metadata":{"annotations":{"last-applied":` + quote(`{"stringData":{"password":"§"}}`) + `}}}`,
	}) {
		add(name, text, nil)
	}
	for _, in := range []string{"context", "description", "message", "object"} {
		add("copied to "+in, `{"note":"¶","`+in+`":{"id":"1","password":"§"}}`, inJSON)
	}

	// What is not quite JSON.
	for name, text := range sorted(map[string]string{
		"broken off":        `{"note":"x","password":"§","a":[1,`,
		"without a comma":   `{"note":"x" "password":"§"}`,
		"without a quote":   `{"note":"x","password":"§}`,
		"without a colon":   `{"note":"x","password" "§"}`,
		"a trailing comma":  `{"note":"x","password":"§",}`,
		"with comments":     "{ // a note\n/* another */ \"password\": /* here */ \"§\" }",
		"in single quotes":  `{'note':'x','password':'§'}`,
		"without quotes":    `{note: "x", password: "§"}`,
		"as text":           `the request was {"password":"§"} and failed`,
		"behind a guard":    ")]}',\n" + `{"password":"§"}`,
		"in a callback":     `callback({"password":"§"});`,
		"with a NUL":        "{\"a\":\"\x00\",\"password\":\"§\"}",
		"with bad UTF-8":    "{\"a\":\"\xff\xfe\",\"password\":\"§\"}",
		"a control letter":  "{\"a\":\"\x01\",\"password\":\"§\"}",
		"half a surrogate":  `{"a":"\ud800","password":"§"}`,
		"a bad escape":      `{"a":"\x","pass\x77ord":"§"}`,
		"NaN":               `{"a":NaN,"password":"§"}`,
		"a bare string":     `"password=§"`,
		"a second document": `{"a":1}` + "\n\n" + `garbage {"password":"§"}`,
	}) {
		add(name, text, nil)
	}
	add("behind a byte order mark", "\ufeff"+`{"note":"¶","password":"§"}`, inJSON)
	more := func(name, kind, text string) {
		all = append(all, position{name: name, kind: kind, text: text, coding: inJSON})
	}
	more("JSON lines", "application/x-ndjson", `{"note":"¶"}`+"\n"+`{"password":"§"}`+"\n"+`{"a":1}`+"\n")
	more("JSON lines, one broken", "application/x-ndjson", `{"a":`+"\n"+`{"password":"§"}`+"\n")
	more("JSON sequence", "application/json-seq", "\x1e"+`{"note":"¶"}`+"\n\x1e"+`{"password":"§"}`+"\n")
	more("JSON in events", "text/event-stream", "event: x\ndata: {\"password\":\"§\"}\n\nid: 2\ndata: y\n\n")

	// Types that say something else.
	for _, kind := range []string{
		"", "image/png", "video/mp4", "font/woff2", "text/plain", "text/html", "text/csv", "text/xml", "application/octet-stream", "application/pdf", "application/zip",
		"application/x-www-form-urlencoded", "application/vnd.api+json", "application/x-yaml", "multipart/form-data", "multipart/form-data; boundary=x",
		"application/json; charset=utf-8", "application/json;charset=\"iso-8859-1\"", "Application/JSON", "json", "*/*", "a, b", "text/plain; charset=utf-7",
	} {
		more("JSON that says "+quote(kind), kind, `{"note":"x","password":"§"}`)
	}
	return all
}
