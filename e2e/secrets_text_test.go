package e2e_test

import (
	"net/url"
	"strings"
)

// inForms are the places of secrets in forms.
func inForms() (all []position) {
	add := func(name, text string, c coding) {
		all = append(all, position{name: "form, " + name, kind: "application/x-www-form-urlencoded", text: text, coding: c})
	}
	for name, field := range sorted(map[string]string{
		"a field": "password", "upper case": "PASSWORD", "a nested name": "user[password]", "a nested name, coded": "user%5Bpassword%5D",
		"a list": "passwords[]", "a dotted name": "user.password", "a coded name": "p%61ssword", "all coded": hexPercent("password"),
		"a plus": "admin+pass", "a half coded": "%70assw%6Frd", "twice coded": "p%2561ssword",
	}) {
		add(name, "note=¶&"+field+"=§&x=1", url.QueryEscape)
	}
	add("all of the value coded", "note=¶&password=§", hexPercent)
	add("first", "password=§&note=¶", url.QueryEscape)
	add("behind a semicolon", "note=¶&a=1;password=§", url.QueryEscape)
	add("JSON", "note=¶&data="+percent(`{"password":"`)+"§"+percent(`"}`), then(inJSON, url.QueryEscape))
	add("JSON, not coded", `note=¶&data={"password":"§"}`, then(inJSON, url.QueryEscape))
	add("JSON behind words", "note=¶&data="+percent(`see {"password":"`)+"§"+percent(`"}`), then(inJSON, url.QueryEscape))
	add("a form in a form", "note=¶&data="+percent("a=1&password=")+"§", then(url.QueryEscape, url.QueryEscape))
	add("a form in a form in a form", "note=¶&data="+percent("a=1&b="+percent("c=2&password="))+"§", then(url.QueryEscape, url.QueryEscape, url.QueryEscape))
	add("a URL", "note=¶&next="+percent("https://h/?token=")+"§", then(url.QueryEscape, url.QueryEscape))
	add("user information", "note=¶&next="+percent("https://u:")+"§"+percent("@h/"), nil)
	add("XML", "note=¶&data="+percent("<r><password>")+"§"+percent("</password></r>"), then(inXML, url.QueryEscape))
	add("YAML", "note=¶&data="+percent("a: 1\npassword: ")+"§", nil)
	add("on lines", "note=¶\r\npassword=§\r\n", nil)
	add("SAML", "note=¶&SAMLResponse=§", then(inBase64, url.QueryEscape))
	add("an assertion", "note=¶&grant_type=x&client_assertion=§", url.QueryEscape)
	add("broken coding", "a=%zz&password=§", nil)
	add("a name of broken coding", "pass%zzword=1&x=2&password=§", nil)
	all = append(all,
		position{name: "form as text", kind: "text/plain", text: "note=¶&password=§", coding: nil},
		position{name: "form as JSON", kind: jsonType, text: "note=x&password=§", coding: url.QueryEscape},
		position{name: "form as an image", kind: "image/png", text: "note=x&password=§", coding: nil},
		position{name: "form as bytes", kind: "application/octet-stream", text: "note=x&password=§", coding: nil},
		position{name: "form without a type", text: "note=x&password=§", coding: url.QueryEscape})
	return all
}

// inTexts are the places of secrets in text of other grammars, or none.
func inTexts() (all []position) {
	add := func(kind, name, text string, c coding) {
		all = append(all, position{name: name, kind: kind, text: text, coding: c})
	}
	plain := func(name, text string) { add("text/plain", "text, "+name, text, nil) }
	for name, text := range sorted(map[string]string{
		"a colon":              "password: §",
		"an equals sign":       "password=§",
		"spaces":               "password = §",
		"an arrow":             "password => §",
		"quotes":               `password="§"`,
		"an option":            "mysql --password=§ -h db",
		"an option, a value":   "mysql --password § -h db",
		"a bearer":             "got Bearer § from x",
		"a header":             "Authorization: Bearer §",
		"a token header":       "X-Auth-Token: §",
		"a cookie":             "Set-Cookie: sid=§; Path=/",
		"a request":            "POST /login HTTP/1.1\r\nHost: h\r\nX-Auth-Token: §\r\n\r\n",
		"curl":                 `curl -H "Authorization: Bearer §" http://h/`,
		"a log line":           `time=1 level=info msg="x" password=§ n=1`,
		"a shell line":         "export DB_PASSWORD='§'",
		"an environment file":  "DB_HOST=h\nDB_PASSWORD=§\n",
		"INI":                  "[db]\nuser = x\npassword = §\n",
		"properties":           "spring.datasource.password=§",
		"TOML":                 "[db]\npassword = \"\"\"\n§\"\"\"\n",
		"YAML":                 "db:\n  user: x\n  password: §\n",
		"YAML, a block":        "password: |\n  x\n  §\n",
		"YAML, folded":         "password: >-\n  x\n  §\n",
		"YAML, a list":         "passwords:\n- x\n- §\n",
		"YAML, a name quoted":  "\"password\": '§'\n",
		"YAML, name and value": "- name: DB_PASSWORD\n  value: §\n",
		"a Dockerfile":         "FROM x\nENV API_KEY=§\n",
		"SQL":                  "UPDATE users SET password='§' WHERE id=1",
		"a Java exception":     "java.sql.SQLException: denied (using password=§)\n\tat x.Y",
		"a Java map":           "User{name=x, password=§, n=1}",
		"a Python repr":        "{'user': 'x', 'password': '§'}",
		"Python, Unicode":      "{u'password': u'§'}",
		"Python, bytes":        "{b'password': b'§'}",
		"Ruby":                 `{:user=>"x", :password=>"§"}`,
		"Go, %+v":              "{User:x Password:§ N:1}",
		"Go, %#v":              `main.User{Name:"x", Password:"§"}`,
		"PHP":                  "array(2) {\n  [\"password\"]=>\n  string(24) \"§\"\n}",
		"Go, an error":         `Get "https://h/x?token=§": dial tcp: refused`,
		"Python, an error":     "HTTPConnectionPool: url: /x?password=§ (Caused by …)",
		"a URL":                "see https://h/x?token=§ for more",
		"user information":     "cloning https://x:§@h/repo.git",
		"a DSN":                "postgres://x:§@db:5432/y",
		"a DSN of pairs":       "host=db user=x password=§ dbname=y",
		"a connection string":  "Server=db;Database=y;User Id=x;Password=§;",
		"escaped slashes":      `"http:\/\/x:§@h\/"`,
		"JSON behind words":    `the body was {"user":"x","password":"§"}`,
		"JSON, quoted":         `body="{\"user\":\"x\",\"password\":\"§\"}"`,
	}) {
		plain(name, "¶\n"+text)
		if name == "a log line" || name == "YAML" || name == "a Java exception" {
			add("", "text without a type, "+name, "¶\n"+text, nil)
			add("application/octet-stream", "text as bytes, "+name, text, nil)
			add("image/jpeg", "text as an image, "+name, text, nil)
			add("text/event-stream", "events, "+name, "data: "+strings.ReplaceAll(text, "\n", "\ndata: ")+"\n\n", nil)
		}
	}
	add("text/plain", "text, XML behind words", "the body was <r><password>§</password></r>", inXML)
	add("text/plain", "text, basic credentials", "¶\nAuthorization: Basic §", asUser)
	add("text/plain", "text, basic without a header", "¶\ngot Basic § from x", asUser)
	add("text/plain", "text, a control letter", "¶\n\x1b[1mpassword\x1b[0m: §", nil)
	add("application/javascript", "script", "var note = '¶';\nvar apiKey = '§';", nil)
	add("application/x-yaml", "YAML", "note: x\npassword: §\n", nil)
	add("application/toml", "TOML", "password = '§'\n", nil)
	add("application/graphql", "GraphQL", `mutation { login(user: "x", password: "§") { id } }`, nil)
	add("text/csv", "CSV", "name,password\nalice,§\n", nil)
	add("text/tab-separated-values", "TSV", "name\tpassword\nalice\t§\n", nil)

	for name, text := range sorted(map[string]string{
		"a hidden field":  `<input type="hidden" name="csrf_token" value="§">`,
		"a password":      `<input type=password name=password value='§'>`,
		"the value first": `<input value="§" name="password">`,
		"a link":          `<a href="/reset?token=§">here</a>`,
		"a link, coded":   `<a href="/reset?a=1&amp;token=§">here</a>`,
		"a meta":          `<meta name="csrf-token" content="§">`,
		"a script":        `<script>var token = "§";</script>`,
		"entities":        `<script>var token = "§";</script>`,
		"a text area":     `<textarea name="private_key">§</textarea>`,
		"text":            `<p>password: §</p>`,
		"a table":         `<tr><th>Password</th><td>§</td></tr>`,
	}) {
		in := coding(inHTML)
		switch {
		case strings.Contains(text, "href"):
			in = url.QueryEscape
		case strings.Contains(name, "script"):
			in = inJSON
		}
		add("text/html; charset=utf-8", "HTML, "+name, "<html><body><p>x</p>\n"+text+"\n</body></html>", in)
	}

	for name, text := range sorted(map[string]string{
		"an element":             `<user><note>¶</note><password>§</password></user>`,
		"an attribute":           `<users note="¶"><user name="x" password="§"/></users>`,
		"a namespace":            `<s:a xmlns:s="urn:x"><s:note>¶</s:note><s:Password s:Type="T">§</s:Password></s:a>`,
		"deeper":                 `<user><note>¶</note><credentials><a><b>§</b></a></credentials></user>`,
		"an entry":               `<map note="¶"><entry key="password" value="§"/></map>`,
		"an entry with text":     `<properties><entry key="note">¶</entry><entry key="password">§</entry></properties>`,
		"name and value":         `<p><note>¶</note><property><name>db.password</name><value>§</value></property></p>`,
		"a plist":                `<plist><dict><key>note</key><string>¶</string><key>password</key><string>§</string></dict></plist>`,
		"SOAP":                   `<e:Envelope xmlns:e="u"><e:Header><w:UsernameToken><w:Username>¶</w:Username><w:Password Type="x#PasswordText">§</w:Password></w:UsernameToken></e:Header></e:Envelope>`,
		"a URL":                  `<link><note>¶</note><href>https://h/?token=§</href></link>`,
		"user information":       `<link><note>¶</note><href>https://x:§@h/</href></link>`,
		"an attribute, on lines": "<user\n  note='¶'\n  password = '§'\n/>",
		"a comment":              `<r><note>¶</note><!-- password=§ --></r>`,
	}) {
		in := coding(inXML)
		if strings.Contains(text, "://") || strings.Contains(text, "<!--") {
			in = url.QueryEscape
		}
		for _, kind := range []string{"application/xml", "text/plain"} {
			add(kind, "XML as "+kind+", "+name, text, in)
		}
	}
	add("text/xml", "XML, CDATA", `<user><note>¶</note><password><![CDATA[§]]></password></user>`, nil)
	add("text/xml", "XML, all entities", `<user><note>¶</note><password>§</password></user>`, inEntities)
	add("text/xml", "XML in XML", `<r><note>¶</note><body>&lt;password&gt;§&lt;/password&gt;</body></r>`, then(inXML, inXML))
	add("text/xml", "JSON in XML", `<r><note>¶</note><body>{&quot;password&quot;:&quot;§&quot;}</body></r>`, then(inJSON, inXML))
	add("image/svg+xml", "XML as a picture", `<svg><password>§</password></svg>`, inXML)
	add("image/png", "XML as another picture", `<svg><password>§</password></svg>`, inXML)
	add("application/octet-stream", "XML as bytes", `<r><password>§</password></r>`, inXML)

	add("application/grpc", "gRPC", "\x00\x00\x00\x00\x1a\x0a\x18§", nil)
	add("application/grpc+proto", "gRPC, a field before", "\x00\x00\x00\x00\x1d\x08\x01\x0a\x18§", nil)
	add("application/x-protobuf", "protobuf", "\x0a\x18§", nil)
	add("application/msgpack", "MessagePack", "\x81\xa8password\xb8§", nil)
	add("application/cbor", "CBOR", "\xa1\x68password\x78\x18§", nil)
	add("application/octet-stream", "bytes", "\x00\x01\x02password=§", nil)
	add("application/octet-stream", "text that says bytes", "password=§", nil)
	return all
}

// inMultipart are the places of secrets in multipart bodies.
func inMultipart() (all []position) {
	const crlf = "\r\n"
	add := func(name, kind string, parts ...string) {
		text := ""
		for _, p := range parts {
			text += "--b0undary" + crlf + p + crlf
		}
		all = append(all, position{name: "multipart, " + name, kind: kind, text: text + "--b0undary--" + crlf})
	}
	const (
		kind = "multipart/form-data; boundary=b0undary"
		note = `Content-Disposition: form-data; name="note"` + crlf + crlf + "¶"
	)
	field := func(name string) string { return `Content-Disposition: form-data; name=` + name + crlf }
	add("a field", kind, note, field(`"password"`)+crlf+"§")
	add("the first field", kind, field(`"password"`)+crlf+"§", note)
	add("a nested name", kind, note, field(`"user[password]"`)+crlf+"§")
	add("a name without quotes", kind, note, field(`password`)+crlf+"§")
	add("an escaped name", kind, field(`"pass\word"`)+crlf+"§")
	add("a name with an asterisk", kind, `Content-Disposition: form-data; name*=UTF-8''p%61ssword`+crlf+crlf+"§")
	add("headers in upper case", kind, note, `CONTENT-DISPOSITION: FORM-DATA; NAME="password"`+crlf+crlf+"§")
	add("a folded header", kind, note, "Content-Disposition: form-data;\r\n name=\"password\""+crlf+crlf+"§")
	add("two names", kind, `Content-Disposition: form-data; name="a"; name="password"`+crlf+crlf+"§")
	add("a JSON field", kind, note, field(`"body"`)+"Content-Type: application/json"+crlf+crlf+`{"password":"§"}`)
	add("a JSON field without a type", kind, note, field(`"body"`)+crlf+`{"password":"§"}`)
	add("a form field", kind, note, field(`"body"`)+crlf+`user=x&password=§`)
	add("a text field", kind, note, field(`"body"`)+"Content-Type: text/plain"+crlf+crlf+"x\r\npassword: §\r\n")
	add("an XML field", kind, note, field(`"body"`)+"Content-Type: text/xml"+crlf+crlf+"<r><password>§</password></r>")
	add("a file of text", kind, note, field(`"file"; filename="a.txt"`)+"Content-Type: text/plain"+crlf+crlf+"password=§")
	add("a file of anything", kind, note, field(`"file"; filename="a.bin"`)+"Content-Type: application/octet-stream"+crlf+crlf+"§")
	add("a picture", kind, note, field(`"file"; filename="a.png"`)+"Content-Type: image/png"+crlf+crlf+"\x89PNG\r\n\x00§")
	add("a file's name", kind, note, field(`"file"; filename="https://h/?token=§"`)+crlf+"x")
	add("a file's other name", kind, note, field(`"file"; filename*=UTF-8''a%3Ftoken%3D§`)+crlf+"x")
	add("a part's header", kind, note, field(`"x"`)+"X-Auth-Token: §"+crlf+crlf+"x")
	add("a field in base64", kind, field(`"x"`)+"Content-Transfer-Encoding: base64"+crlf+crlf+inBase64("password=")+"§")
	add("a field, quoted-printable", kind, field(`"x"`)+"Content-Transfer-Encoding: quoted-printable"+crlf+crlf+"pass=77ord=3D§")
	add("mixed", "multipart/mixed; boundary=b0undary", "Content-Type: application/json"+crlf+crlf+`{"password":"§"}`)
	add("related", "multipart/related; boundary=b0undary; type=\"application/json\"", "Content-Type: application/json"+crlf+crlf+`{"password":"§"}`,
		"Content-Type: image/png"+crlf+crlf+"x")
	add("a batch", "multipart/mixed; boundary=b0undary", "Content-Type: application/http"+crlf+crlf+"POST /x?token=§ HTTP/1.1"+crlf+crlf)
	add("nested", kind, "Content-Type: multipart/mixed; boundary=in"+crlf+crlf+"--in"+crlf+field(`"password"`)+crlf+"§"+crlf+"--in--")
	add("the preamble of a nested one", kind, "Content-Type: multipart/mixed; boundary=in"+crlf+crlf+"password=§"+crlf+"--in--")
	add("a quoted boundary", `multipart/form-data; boundary="b0undary"`, note, field(`"password"`)+crlf+"§")
	add("another boundary", `multipart/form-data; boundary=x`, field(`"password"`)+crlf+"§")
	add("a prefix as boundary", `multipart/form-data; boundary=b0und`, field(`"password"`)+crlf+"§")
	add("two boundaries", `multipart/form-data; boundary=x; boundary=b0undary`, field(`"password"`)+crlf+"§")
	add("no boundary", `multipart/form-data`, field(`"password"`)+crlf+"§")
	raw := func(name, text string) {
		all = append(all, position{name: "multipart, " + name, kind: kind, text: text})
	}
	raw("line feeds alone", "--b0undary\n"+`Content-Disposition: form-data; name="password"`+"\n\n§\n--b0undary--\n")
	raw("no end", "--b0undary\r\n"+field(`"password"`)+"\r\n§")
	raw("no header", "--b0undary\r\n\r\npassword=§\r\n--b0undary--\r\n")
	raw("a preamble", "password=§\r\n--b0undary\r\n"+field(`"a"`)+"\r\nx\r\n--b0undary--\r\n")
	raw("an epilogue", "--b0undary\r\n"+field(`"a"`)+"\r\nx\r\n--b0undary--\r\npassword=§\r\n")
	raw("spaces behind the boundary", "--b0undary \t\r\n"+field(`"password"`)+"\r\n§\r\n--b0undary-- \r\n")
	return all
}

// withShapes are secrets that are known by what they look like, under names that
// say nothing.
func withShapes() (all []position) {
	for _, s := range []struct {
		name    string
		shape   shape
		options bool
	}{{"JWT", aJWT, false}, {"PEM", aPEM, false}, {"card", aCard, true}} {
		add := func(name, kind, text string, c coding) {
			all = append(all, position{name: s.name + ", " + name, kind: kind, text: text, coding: c, shape: s.shape, options: s.options})
		}
		add("in JSON", jsonType, `{"note":"¶","data":"§"}`, inJSON)
		add("in JSON, in an array", jsonType, `{"note":"¶","data":["x",["§"]]}`, inJSON)
		add("in JSON in JSON", jsonType, `{"note":"¶","data":`+quote(`{"data":"§"}`)+`}`, then(inJSON, inJSON))
		add("in words in JSON", jsonType, `{"note":"¶","data":"got § from x"}`, inJSON)
		add("in a form", "application/x-www-form-urlencoded", "note=¶&data=§", url.QueryEscape)
		add("in text", "text/plain", "¶\nsee\n§\nthere", nil)
		add("in XML", "application/xml", "<r><note>¶</note><data>§</data></r>", nil)
		add("in HTML", "text/html", "<p>x</p><p>§</p>", nil)
		add("in CSV", "text/csv", "a,b\nx,\"§\"\n", nil)
		add("in multipart", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n§\r\n--b--\r\n", nil)
		add("in JSON that says text", "text/plain", `{"note":"¶","data":"§"}`, inJSON)
		add("in YAML", "text/plain", "note: ¶\ndata: |\n§", func(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") })
	}
	return all
}

// byOptions are secrets because the options of redact say so.
func byOptions() (all []position) {
	add := func(name, kind, text string, c coding) {
		all = append(all, position{name: "option " + name, kind: kind, text: text, coding: c, options: true})
	}
	add("fields, in JSON", jsonType, `{"note":"¶","bankAccount":"§"}`, inJSON)
	add("fields, in JSON in JSON", jsonType, `{"note":"¶","data":`+quote(`{"bank_account":"§"}`)+`}`, then(inJSON, inJSON))
	add("fields, in a form", "application/x-www-form-urlencoded", "note=¶&bank-account=§", url.QueryEscape)
	add("fields, in text", "text/plain", "¶\nbank_account: §", nil)
	add("fields, in XML", "application/xml", "<r><note>¶</note><bankAccount>§</bankAccount></r>", inXML)
	add("fields, in multipart", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"bank_account\"\r\n\r\n§\r\n--b--\r\n", nil)
	add("pointer, in JSON", jsonType, `{"note":"¶","deep":[{"hidden":"§"}]}`, inJSON)
	add("pointer, an escaped name", jsonType, `{"note":"¶","d\u0065ep":[{"hidd\u0065n":"§"}]}`, inJSON)
	add("pointer, a subtree", jsonType, `{"note":"¶","deep":[{"hidden":{"a":["§"]}}]}`, inJSON)
	add("pointer, a name with a slash", jsonType, `{"note":"¶","a/b":"§"}`, inJSON)
	add("pointer, in a form", "application/x-www-form-urlencoded", "note=¶&a%2Fb=§", url.QueryEscape)
	return all
}
