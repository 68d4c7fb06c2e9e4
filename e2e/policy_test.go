package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

func TestLevelsDecideWhatIsKept(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	@internal header X-Internal *
	audit_capture nova {
		level none /health on 2xx
		level metadata @internal
		level request on 404
		level none /never
		level none on 418
	}
	reverse_proxy COMPONENT
}
`)
	calls := []ruledCall{
		{name: "metadata", target: "/", header: map[string]string{"X-Internal": "1"}},
		{name: "request", target: "/", status: 404},
		{name: "health", target: "/health"},
		{name: "never", target: "/never"},
		{name: "teapot", target: "/", status: 418},
		{name: "no server", target: "/never", status: 404},
		{name: "ill", target: "/health", status: 503},
		{name: "full", target: "/"},
	}
	for _, c := range calls {
		c.method, c.body, c.bodyType, c.answer, c.answerType = "POST", `{"a": 1}`, "application/json", `{"b": 22}`, "application/json"
		g.call(c)
	}
	want := map[string][2]string{ // what is kept of the bodies
		"metadata": {}, "request": {`{"a": 1}`}, "no server": {`{"a": 1}`},
		"ill": {`{"a": 1}`, `{"b": 22}`}, "full": {`{"a": 1}`, `{"b": 22}`},
	}
	wait(t, "all calls are records", func() bool { return len(g.all()) >= len(want) })
	for _, r := range g.all() {
		bodies, ok := want[r.RequestID]
		if !ok {
			t.Errorf("%s %s (status %d, %s) is a record", r.Method, r.RequestID, r.Status, r.Outcome)
			continue
		}
		for i, body := range []record.Body{r.RequestBody, r.ResponseBody} {
			size, state, reason := int64(len(`{"a": 1}`)+i), record.BodyComplete, ""
			if bodies[i] == "" {
				state, reason = record.BodyWithheld, record.ReasonLevel
			}
			if body.Text() != bodies[i] || body.Size != size || body.Kept != int64(len(bodies[i])) || body.State != state || body.Reason != reason {
				t.Errorf("%s: body %d is %q, %+v; want %q of %d bytes, %s %s", r.RequestID, i, body.Text(), body.BodyInfo, bodies[i], size, state, reason)
			}
			if (body.SHA256 == "") == (bodies[i] != "") || (body.HMACSHA256 == "") == (bodies[i] == "") {
				t.Errorf("%s: the digests of body %d are %q and %q", r.RequestID, i, body.SHA256, body.HMACSHA256)
			}
		}
	}

	// A call that is not recorded is no loss either.
	g.signal(syscall.SIGKILL)
	g.start()
	for _, r := range g.all() {
		if r.Outcome == record.OutcomeGap {
			t.Errorf("there is a gap of %+v", r.Gap)
		}
	}
}

func TestStreamBodyIsKeptOfStreams(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	audit_capture nova {
		stream_body 1KiB
	}
	reverse_proxy COMPONENT
}
`)
	events := strings.Repeat("data: tick\n\n", 500)
	g.call(ruledCall{name: "stream", method: "GET", target: "/", answer: events, answerType: "text/event-stream"})
	g.call(ruledCall{name: "text", method: "GET", target: "/", answer: events, answerType: "text/plain"})
	if b := g.recordOf("stream").ResponseBody; b.State != record.BodyStreamed || b.Kept != 1024 || b.Size != int64(len(events)) {
		t.Errorf("the stream is %+v, want 1024 of %d bytes, streamed", b.BodyInfo, len(events))
	}
	if b := g.recordOf("text").ResponseBody; b.State != record.BodyComplete || b.Size != int64(len(events)) {
		t.Errorf("the text is %+v, want all of its %d bytes", b.BodyInfo, len(events))
	}
}

func TestInnermostCaptureWins(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	audit_capture outer {
		level none /dropped/outside*
		redact {
			fields licence
		}
	}
	handle_path /inner/* {
		audit_capture inner {
			level metadata on 404
			request_body 4
			redact {
				headers X-Pin
			}
		}
		reverse_proxy COMPONENT
	}
	handle /dropped/inside {
		audit_capture inside {
			level none
		}
		reverse_proxy COMPONENT
	}
	handle /dropped/outside/in {
		audit_capture late
		reverse_proxy COMPONENT
	}
	handle {
		reverse_proxy COMPONENT
	}
}
`)
	for _, c := range []ruledCall{
		{name: "outer", target: "/x"},
		{name: "inner", target: "/inner/x"},
		{name: "inner missing", target: "/inner/x", status: 404},
		{name: "inside", target: "/dropped/inside"},
		{name: "outside", target: "/dropped/outside"},
		{name: "late", target: "/dropped/outside/in"},
	} {
		c.method, c.body, c.bodyType, c.header = "POST", `{"licence": "L"}`, "application/json", map[string]string{"X-Pin": "1234"}
		g.call(c)
	}
	type outcome struct {
		source, state, reason, licence string
		pin                            bool
	}
	want := map[string]outcome{
		"outer":         {source: "outer", state: "complete", pin: true},
		"inner":         {source: "inner", state: "truncated", reason: "cap"},
		"inner missing": {source: "inner", state: "withheld", reason: "level"},
		"late":          {source: "late", state: "complete", licence: "L", pin: true},
	}
	wait(t, "all calls are records", func() bool { return len(g.all()) >= len(want) })
	got := make(map[string]outcome)
	policies := make(map[string]string)
	for _, r := range g.all() {
		o := outcome{source: r.Source, state: string(r.RequestBody.State), reason: r.RequestBody.Reason}
		if strings.Contains(r.RequestBody.Text(), `"L"`) {
			o.licence = "L"
		}
		o.pin = cmp.Equal(fieldsOf(r.RequestHeaders, "X-Pin"), []string{"1234"})
		got[r.RequestID] = o
		if p, ok := policies[r.Source]; ok && p != r.Policy || len(r.Policy) != 16 {
			t.Errorf("%s: the policy of %s is %q, and was %q", r.RequestID, r.Source, r.Policy, p)
		}
		policies[r.Source] = r.Policy
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if policies["inner"] == policies["outer"] {
		t.Error("captures with other rules have the same policy")
	}
}

func TestEachLineOfRedactHolds(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	@masked path /masked/*
	handle @masked {
		audit_capture masked {
			redact {
				mode mask
				values none
			}
		}
		reverse_proxy COMPONENT
	}
	handle {
		audit_capture nova {
			redact {
				headers X-Pin
				fields licence
				pointer /note
				keep /token on POST /tokens
				path /reset/:secret
				values card
				body off /off/*
				body on /on/*
			}
		}
		reverse_proxy COMPONENT
	}
}
`)
	const card = "4111 1111 1111 1111"
	for _, x := range []struct {
		call ruledCall
		// show and hide are texts that the record has, and has not.
		show, hide []string
		state      record.BodyState // of the request's body
	}{
		{ruledCall{name: "header", target: "/x", header: map[string]string{"X-Pin": "canary-1", "X-Pan": "plain-1"}}, []string{"plain-1"}, []string{"canary-1"}, record.BodyComplete},
		{ruledCall{name: "field", target: "/x", body: `{"licence": {"no": "canary-2"}, "license": "plain-2"}`}, []string{"plain-2"}, []string{"canary-2"}, record.BodyComplete},
		{ruledCall{name: "pointer", target: "/x", body: `{"note": "canary-3", "sub": {"note": "plain-3"}}`}, []string{"plain-3"}, []string{"canary-3"}, record.BodyComplete},
		{ruledCall{name: "keep", target: "/tokens", body: `{"token": {"id": "plain-4", "password": "canary-4"}}`}, []string{"plain-4"}, []string{"canary-4"}, record.BodyComplete},
		{ruledCall{name: "keep elsewhere", target: "/x", body: `{"token": {"id": "canary-5"}}`}, nil, []string{"canary-5"}, record.BodyComplete},
		{ruledCall{name: "path", target: "/reset/canary-6"}, []string{"/reset/"}, []string{"canary-6"}, record.BodyComplete},
		{ruledCall{name: "card", target: "/x", body: `{"text": "it is ` + card + `"}`}, nil, []string{card}, record.BodyComplete},
		{ruledCall{name: "off", target: "/off/x", body: `{"a": "canary-8"}`}, nil, []string{"canary-8"}, record.BodyWithheld},
		{ruledCall{name: "binary", target: "/x", body: "\x00\x01", bodyType: "application/octet-stream"}, nil, nil, record.BodyWithheld},
		{ruledCall{name: "on", target: "/on/x", body: "\x00\x01", bodyType: "application/octet-stream"}, nil, nil, record.BodyBinary},
		{ruledCall{name: "masked", target: "/masked/x", body: `{"password": "canary-9", "text": "it is ` + card + `"}`}, []string{`{"password": "***", "text": "it is ` + card + `"}`}, []string{"canary-9"}, record.BodyComplete},
	} {
		x.call.method = "POST"
		if x.call.body == "" {
			x.call.body = `{}`
		}
		if x.call.bodyType == "" {
			x.call.bodyType = "application/json"
		}
		g.call(x.call)
		r := g.recordOf(x.call.name)
		text := fmt.Sprint(r.URI, r.Query, r.RequestHeaders, r.RequestBody.Text())
		for _, want := range x.show {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in the record: %s", x.call.name, want, text)
			}
		}
		for _, secret := range x.hide {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %q is in the record", x.call.name, secret)
			}
		}
		if r.RequestBody.State != x.state {
			t.Errorf("%s: the body is %+v, want %s", x.call.name, r.RequestBody.BodyInfo, x.state)
		}
	}
}

func TestPolicyIsTheSameAfterARestart(t *testing.T) {
	g := startRuled(t, "TRAFFIC {\n\taudit_capture nova {\n\t\tlevel metadata on 4xx\n\t}\n\treverse_proxy COMPONENT\n}\n")
	g.call(ruledCall{name: "before", method: "GET", target: "/"})
	before := g.recordOf("before").Policy
	g.stop()
	g.start()
	g.call(ruledCall{name: "after", method: "GET", target: "/"})
	if after := g.recordOf("after").Policy; after != before {
		t.Errorf("the policy was %q and is %q", before, after)
	}
	if !strings.Contains(g.log(), fmt.Sprintf(`"policy":%q`, before)) {
		t.Errorf("the log does not name the policy %s", before)
	}
}
