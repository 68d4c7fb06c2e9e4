package e2e_test

import (
	"net/url"
	"strings"
)

// place is a position outside of bodies: a header or trailer, whose name is the
// kind, or a request target, where there is no kind.
type place = position

// inHeaders are the places of secrets in headers, of requests and of answers.
func inHeaders() (all []place) {
	add := func(header, value string, c coding) {
		all = append(all, place{name: "header " + header + ": " + value, kind: header, text: value, coding: c})
	}
	for _, header := range []string{ // the defaults, and what is like them
		"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Auth-Token", "X-Subject-Token", "X-Service-Token", "X-Api-Key",
		"Api-Key", "ApiKey", "X-Access-Token", "X-Refresh-Token", "X-Csrf-Token", "X-XSRF-TOKEN", "Private-Token", "Job-Token", "X-Gitlab-Token",
		"X-Vault-Token", "X-Consul-Token", "X-Amz-Security-Token", "X-Session-Token", "X-Client-Secret", "X-Password", "X-Secret-Key",
		"X-Forwarded-Access-Token", "X-Original-Authorization", "x_auth_token", "Authentication-Token",
	} {
		add(header, "§", nil)
	}
	for _, value := range []string{
		"Bearer §", "bearer §", "Token token=§", "Digest username=\"x\", response=\"§\"", "AWS4-HMAC-SHA256 Credential=a/b, Signature=§", "Negotiate §",
		"Signature keyId=\"x\",signature=\"§\"", "GenieKey §", "  Bearer  §",
	} {
		add("Authorization", value, nil)
	}
	add("Authorization", "Basic §", asUser)
	add("Proxy-Authorization", "Basic §", asUser)
	add("Cookie", "theme=dark; sid=§; x=y", nil)
	add("Set-Cookie", "sid=§; Path=/; HttpOnly", nil)
	for _, header := range []string{"Referer", "Location", "Content-Location", "Destination", "Origin", "X-Original-Url", "X-Forwarded-Uri", "X-Rewrite-Url", "User-Agent", "X-Anything"} {
		add(header, "https://h/¶?a=1&token=§&b=2", url.QueryEscape)
		add(header, "https://alice:§@h/¶", nil)
	}
	add("Location", "/cb#access_token=§&state=¶", url.QueryEscape)
	add("Location", "/login?next="+percent("/x?token=")+"§", then(url.QueryEscape, url.QueryEscape))
	add("Link", `<https://h/¶?token=§>; rel="next", <https://h/?token=x>; rel="last"`, url.QueryEscape)
	add("Refresh", "0; url=https://h/¶?token=§", url.QueryEscape)
	add("Content-Disposition", `attachment; filename="https://h/?token=§"`, nil)
	add("Content-Language", "token=§", nil)
	add("X-Request-Id", "token=§", nil)
	add("X-Openstack-Request-Id", "https://h/?token=§", nil)
	add("Baggage", "note=¶,password=§", nil)
	add("Forwarded", "for=1.2.3.4;host=¶;secret=§", nil)
	add("Tracestate", "password=§", nil)
	add("X-Debug", `{"note":"¶","password":"§"}`, inJSON)
	add("X-Debug", `see {"note":"¶","password":"§"}`, inJSON)
	add("X-Debug", "note=¶&password=§", url.QueryEscape)
	add("X-Debug", "¶ Bearer §", nil)
	add("X-Debug", "¶ password: §", nil)
	add("X-Debug", "¶ --password § -x", nil)
	add("X-Debug", "mysql://x:§@h/¶", nil)
	add("X-Debug", "¶ {'password': '§'}", nil)
	add("X-Debug", "<r><note>¶</note><password>§</password></r>", inXML)
	all = append(all,
		place{name: "header, a JWT that nothing names", kind: "X-Debug", text: "§", shape: aJWT},
		place{name: "header, a JWT as subprotocol", kind: "Sec-WebSocket-Protocol", text: "base64url, §", shape: aJWT},
		place{name: "header, a PEM key that nothing names", kind: "X-Client-Cert", text: "§", shape: aPEM, coding: url.QueryEscape},
		place{name: "header, a card", kind: "X-Debug", text: "paid with §", shape: aCard, options: true},
		place{name: "option headers", kind: "X-Vault-Thing", text: "§", options: true},
		place{name: "option fields, in a header", kind: "Location", text: "/¶?bank_account=§", options: true, coding: url.QueryEscape},
		place{name: "option path, in Location", kind: "Location", text: "/reset/§", options: true})
	return all
}

// inTrailers are the places of secrets in trailers.
func inTrailers() (all []place) {
	for header, value := range sorted(map[string]string{"X-Auth-Token": "§", "Authorization": "Bearer §", "X-Checksum": "https://h/?token=§"}) {
		all = append(all, place{name: "trailer " + header, kind: header, text: value})
	}
	return all
}

// inTargets are the places of secrets in request targets.
func inTargets() (all []place) {
	add := func(name, target string, c coding) {
		all = append(all, place{name: "target, " + name, text: target, coding: c})
	}
	for name, query := range sorted(map[string]string{
		"a query":                "note=¶&token=§&x=1",
		"the first":              "password=§&note=¶",
		"upper case":             "note=¶&PASSWORD=§",
		"a list":                 "note=¶&passwords[]=§",
		"a nested name":          "note=¶&user[password]=§",
		"a nested name, coded":   "note=¶&user%5Bpassword%5D=§",
		"a coded name":           "note=¶&p%61ssword=§",
		"a name all coded":       "note=¶&" + hexPercent("token") + "=§",
		"a name twice coded":     "note=¶&p%2561ssword=§",
		"behind a semicolon":     "note=¶;token=§",
		"two question marks":     "note=¶?token=§",
		"twice":                  "note=¶&token=x&token=§",
		"S3":                     "note=¶&X-Amz-Credential=x&X-Amz-Signature=§",
		"S3's token":             "note=¶&X-Amz-Security-Token=§",
		"Google":                 "note=¶&X-Goog-Signature=§",
		"Azure":                  "note=¶&sv=1&sig=§",
		"Swift":                  "note=¶&temp_url_sig=§&temp_url_expires=1",
		"OAuth":                  "note=¶&code_verifier=§",
		"an API key":             "note=¶&api_key=§",
		"an API key, camel case": "note=¶&apiKey=§",
		"SAML":                   "note=¶&SAMLResponse=§",
	}) {
		add(name, "/x?"+query, url.QueryEscape)
	}
	add("all coded", "/x?note=¶&token=§", hexPercent)
	add("JSON", "/x?note=¶&q="+percent(`{"password":"`)+"§"+percent(`"}`), then(inJSON, url.QueryEscape))
	add("JSON, not coded", `/x?note=¶&q={"password":"§"}`, nil)
	add("a URL in a query", "/x?note=¶&next="+percent("https://h/?token=")+"§", then(url.QueryEscape, url.QueryEscape))
	add("a URL in a URL in a query", "/x?note=¶&n="+percent("https://h/?n="+percent("/?token="))+"§", then(url.QueryEscape, url.QueryEscape, url.QueryEscape))
	add("user information in a query", "/x?note=¶&next=https://u:§@h/", nil)
	add("a parameter of the path", "/¶/x;token=§/y", nil)
	add("a pair in the path", "/¶/token=§/y", nil)
	add("a URL in the path", "/fetch/https://u:§@h/¶", nil)
	add("a fragment", "/¶#access_token=§", nil)
	add("a broken coding", "/x?note=x&token=%zz§", nil)
	add("user information", "http://alice:§@h/¶", nil)
	all = append(all,
		place{name: "target, a JWT in the path", text: "/¶/§/x", shape: aJWT},
		place{name: "target, a JWT in the query", text: "/x?note=¶&q=§", shape: aJWT},
		place{name: "target, a card in the query", text: "/x?note=¶&q=§", shape: aCard, options: true},
		place{name: "target, a card in the path", text: "/¶/§", shape: aCard, options: true},
		place{name: "option path", text: "/reset/§", options: true},
		place{name: "option path, with a query", text: "/reset/§?note=¶", options: true},
		place{name: "option path, coded", text: "/r%65set/§", options: true, coding: hexPercent},
		place{name: "option path, in the middle", text: "/share/¶/key/§/files", options: true},
		place{name: "option path, the rest", text: "/download/§/a/b", options: true},
		place{name: "option fields, in a query", text: "/x?note=¶&bank-account=§", options: true, coding: url.QueryEscape})
	return all
}

// kinds returns the positions that need the options of redact, or those that do not.
func kinds(options bool, lists ...[]position) (some []position) {
	for _, list := range lists {
		for _, p := range list {
			if p.options == options {
				some = append(some, p)
			}
		}
	}
	return some
}

// padded puts something that is not secret before a text of that type.
func padded(kind, text string, n int) string {
	switch {
	case strings.Contains(kind, "form-urlencoded"):
		return "pad=" + strings.Repeat("x", max(0, n-5)) + "&" + text
	case strings.Contains(kind, "multipart"):
		part := "--b0undary\r\nContent-Disposition: form-data; name=\"pad\"\r\n\r\n\r\n"
		return strings.Replace(part, "\r\n\r\n\r\n", "\r\n\r\n"+strings.Repeat("x", max(0, n-len(part)))+"\r\n", 1) + text
	}
	return strings.Repeat("\n", n) + text
}
