package record_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

func TestStoredFormHasWhatTheRecordHas(t *testing.T) {
	r := full()
	r.URI, r.Query = "/v2.1/caf%C3%A9", "name=two%20words&x=%zz"
	r.Object = &record.Object{Type: "server", ID: "s-1", Name: "web 1"}
	r.Action, r.ActionAliases = "server.create", []string{"create-vm", "boot"}
	r.JobID, r.TraceID, r.TokenID = "job-1", "trace", "token"
	r.RequestTrailers = record.Headers{{Name: "Grpc-Status", Value: "0 ok"}}

	var s record.Stored
	for range 2 { // a second time over the first
		if err := s.Set(r.AppendMeta(record.AppendAnnounced(nil, 77))); err != nil {
			t.Fatal(err)
		}
	}
	var aliases []string
	for _, a := range s.Aliases {
		aliases = append(aliases, string(a))
	}
	if diff := cmp.Diff(r.ActionAliases, aliases); diff != "" {
		t.Error(diff)
	}
	if s.Announced != 77 || s.Status != r.Status {
		t.Errorf("announced at %d, status %d", s.Announced, s.Status)
	}
	for _, f := range []struct {
		name, want string
		got        []byte
	}{
		{"source", r.Source, s.Source},
		{"project", r.Project, s.Project},
		{"action", r.Action, s.Action},
		{"success", string(r.Success), s.Success},
		{"method", r.Method, s.Method},
		{"uri", r.URI, s.URI},
		{"query", r.Query, s.Query},
		{"outcome", string(r.Outcome), s.Outcome},
		{"user id", r.UserID, s.UserID},
		{"user name", r.UserName, s.UserName},
		{"user e-mail", r.UserEmail, s.UserEmail},
		{"address", r.UserIP, s.UserIP},
		{"request id", r.RequestID, s.RequestID},
		{"trace", r.TraceID, s.TraceID},
		{"token", r.TokenID, s.TokenID},
		{"job", r.JobID, s.JobID},
		{"object type", r.Object.Type, s.ObjectType},
		{"object id", r.Object.ID, s.ObjectID},
		{"object name", r.Object.Name, s.ObjectName},
	} {
		if f.want == "" || f.want != string(f.got) {
			t.Errorf("%s is %q, want %q", f.name, f.got, f.want)
		}
	}

	var want, got []string
	record.EachWordOf(r, func(word []byte) bool { want = append(want, string(word)); return true })
	if err := s.EachWord(r.RequestBody.Content, r.ResponseBody.Content, func(word []byte) bool {
		got = append(got, string(word))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	n := 0
	if err := s.EachWord(nil, nil, func([]byte) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("%d words after the third was the last asked for, %v", n, err)
	}
	if err := s.Set([]byte{0xff}); err == nil {
		t.Error("what is malformed was read")
	}
}
