package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

// ending is what a record says of how its call ended.
type ending struct {
	Outcome      record.Outcome
	Success      record.Success
	Status       int
	StatusSource string
}

func endingOf(r *record.Record) ending {
	return ending{r.Outcome, r.Success, r.Status, r.StatusSource}
}

func TestClientAbortIsRecorded(t *testing.T) {
	arrived := make(chan struct{})
	gone := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/answered" {
			fmt.Fprint(w, "the beginning")
			_ = http.NewResponseController(w).Flush() // the client waits for it
		}
		if r.URL.Path == "/upload" { // the client leaves when its beginning has passed the gateway, not only its header
			_, _ = io.ReadFull(r.Body, make([]byte, len("the beginning"))) // the record shows what came
		}
		arrived <- struct{}{}
		if r.URL.Path == "/upload" {
			_, _ = io.Copy(io.Discard, r.Body) // ends when the client has gone
		} else {
			<-r.Context().Done()
		}
		gone <- struct{}{}
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())

	t.Run("before an answer", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		go func() { // ends when the call has arrived
			<-arrived
			leave()
		}()
		g.in(t).abandon(ctx, http.MethodGet, "/slow", "unanswered", nil)
		<-gone
		want := ending{record.OutcomeAborted, record.SuccessUnknown, 499, ""}
		if diff := cmp.Diff(want, endingOf(g.in(t).recordOf("unanswered"))); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	})
	t.Run("in the answer", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-arrived }() // ends when the call has arrived
		res := g.in(t).open(ctx, http.MethodGet, "/answered", "answered", nil)
		defer res.Body.Close()
		if _, err := io.ReadFull(res.Body, make([]byte, len("the beginning"))); err != nil {
			t.Error(err)
		}
		leave()
		<-gone
		r := g.in(t).recordOf("answered")
		want := ending{record.OutcomeAborted, record.SuccessUnknown, 200, ""}
		if diff := cmp.Diff(want, endingOf(r)); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
		if b := r.ResponseBody; b.Text() != "the beginning" || b.State == record.BodyComplete {
			t.Errorf("record: the body is %q, %s", b.Text(), b.State)
		}
	})
	t.Run("in the request", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		body, writer := io.Pipe()
		go func() { // ends when the client has left
			_, _ = io.WriteString(writer, "the beginning") // or the test finds it missing
			<-arrived
			leave()
			<-gone
			writer.Close()
		}()
		g.in(t).abandon(ctx, http.MethodPut, "/upload", "upload", body)
		r := g.in(t).recordOf("upload")
		if r.Outcome != record.OutcomeAborted || r.Success != record.SuccessUnknown {
			t.Errorf("record: %+v, want aborted", endingOf(r))
		}
		if b := r.RequestBody; b.Text() != "the beginning" || b.State == record.BodyComplete {
			t.Errorf("record: the body is %q, %s", b.Text(), b.State)
		}
	})
}

func TestUpstreamAbortIsRecorded(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/answered" {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, "the beginning")
			_ = http.NewResponseController(w).Flush() // the client waits for it
		}
		panic(http.ErrAbortHandler) // closes the connection
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())

	res := g.open(t.Context(), http.MethodGet, "/answered", "answered", nil)
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); string(got) != "the beginning" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client got %q, %v: want the beginning, and to see that it is not all", got, err)
	}
	r := g.recordOf("answered")
	if r.Outcome != record.OutcomeUpstreamError || r.Status != http.StatusOK || r.Success == record.SuccessYes {
		t.Errorf("record: %+v, want upstream_error, status 200 and no success", endingOf(r))
	}
	if b := r.ResponseBody; b.Text() != "the beginning" || b.State != record.BodyTruncated || b.Reason != record.ReasonAborted {
		t.Errorf("record: the body is %q, %s, %s", b.Text(), b.State, b.Reason)
	}

	res = g.open(t.Context(), http.MethodPost, "/unanswered", "unanswered", nil)
	res.Body.Close()
	want := ending{record.OutcomeUpstreamError, record.SuccessNo, http.StatusBadGateway, "error"}
	if diff := cmp.Diff(want, endingOf(g.recordOf("unanswered"))); diff != "" || res.StatusCode != want.Status {
		t.Errorf("the client got %d; record (-want +got):\n%s", res.StatusCode, diff)
	}
}

func TestUpstreamDownIsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		routes string // errors and what handles them
		status int    // for the client
		want   ending
		body   string
	}{
		"no error routes": {
			"", http.StatusBadGateway,
			ending{record.OutcomeUpstreamError, record.SuccessNo, http.StatusBadGateway, "error"},
			"",
		},
		"error routes without a capture": {
			"handle_errors {\n\t\trespond `sorry` 418\n\t}", http.StatusTeapot,
			ending{record.OutcomeUpstreamError, record.SuccessNo, http.StatusBadGateway, "error"},
			"",
		},
		"error routes with a capture": {
			"handle_errors {\n\t\taudit_capture nova\n\t\trespond `sorry` 418\n\t}", http.StatusTeapot,
			ending{record.OutcomeUpstreamError, record.SuccessNo, http.StatusTeapot, ""},
			"sorry",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			g.write(fmt.Sprintf("%s {\n\taudit_capture nova\n\treverse_proxy %s\n\t%s\n}\n", g.traffic, freeAddress(t), c.routes))
			g.start()
			g.bearer = g.token("auditor")
			res := g.open(t.Context(), http.MethodGet, "/", "down", nil)
			res.Body.Close()
			r := g.recordOf("down")
			if diff := cmp.Diff(c.want, endingOf(r)); diff != "" || res.StatusCode != c.status {
				t.Errorf("the client got %d, want %d; record (-want +got):\n%s", res.StatusCode, c.status, diff)
			}
			if r.ResponseBody.Text() != c.body {
				t.Errorf("record: the body is %q, want %q", r.ResponseBody.Text(), c.body)
			}
		})
	}
}
