package storetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// full returns records in which every field is set, and bodies of every kind.
func full() []*record.Record {
	maker := NewRecords(1)
	all := maker.Next()
	all.ClaimedProject, all.Description, all.UpstreamURI = "claimed", "Create a server", "/internal?x=1"
	all.StatusSource, all.AuthVerified, all.TraceID = "error", true, "0af7651916cd43dd8448eb211c80319c"
	all.Object = &record.Object{Type: "server", ID: "5", Name: "größe"}
	all.RequestBody = maker.body(1 << 10)
	all.RequestBody.Encoding, all.RequestBody.Partial = "gzip", true
	all.ResponseBody.SHA256, all.ResponseBody.HMACSHA256 = "", "feed"

	binary := maker.Next()
	binary.RequestBody = record.Body{Content: []byte{0, 0xff, 0xfe, '\n', 0}, BodyInfo: record.BodyInfo{Size: 5, Kept: 5, State: record.BodyBinary}}
	binary.ResponseBody = record.Body{BodyInfo: record.BodyInfo{Size: 99, State: record.BodyWithheld, Reason: record.ReasonType}}

	cut := maker.Next()
	cut.RequestBody = record.Body{}
	cut.ResponseBody = record.Body{Content: []byte("beginn\xc3"), BodyInfo: record.BodyInfo{Size: 1 << 40, Kept: 7, State: record.BodyTruncated, Reason: record.ReasonCap}}

	bare := &record.Record{EventID: record.NewID(), Source: "nova", Outcome: record.OutcomeAborted}

	// A body between two others, so that each is found where it stands.
	odd := maker.Next()
	odd.RequestBody.Content = bytes.Repeat([]byte("0123456789"), 30_000)

	control := maker.Next()
	control.Source, control.Method = record.Self, "GET"

	gap := Gap(record.NewID(), time.Now().Add(time.Hour).Truncate(time.Microsecond).UTC(), "nova", 7)
	unknown := Gap(record.NewID(), gap.EndTime, "glance", 0)
	unknown.Gap = &record.Gap{CountUnknown: true, Reason: "power cut"}
	return []*record.Record{all, binary, cut, bare, odd, control, gap, unknown, maker.Next()}
}

func recordsComeBackWhole(t *testing.T, open Open) {
	records := full()
	stages(t, open, records, func(t *testing.T, s store.Store) {
		for _, r := range records {
			got, err := s.Get(t.Context(), r.EventID)
			if err != nil {
				t.Errorf("getting record %s: %v", r.EventID, err)
			} else if diff := Diff(r, got); diff != "" {
				t.Errorf("record %s came back otherwise (-added +stored):\n%s", r.EventID, diff)
			}
		}
		for _, bodies := range []bool{true, false} {
			for i, got := range List(t, s, record.Query{Scope: Everything, Bodies: bodies}) {
				want := *records[len(records)-1-i]
				if !bodies {
					want.RequestBody.Content, want.ResponseBody.Content = nil, nil
				}
				if diff := Diff(&want, got); diff != "" {
					t.Errorf("record %s is listed otherwise (-added +stored):\n%s", got.EventID, diff)
				}
			}
		}
	})
}

func largeBodyComesBackWhole(t *testing.T, open Open) {
	records := []*record.Record{NewRecords(2).Next(), NewRecords(3).Next(), NewRecords(4).Next()}
	random := rand.NewChaCha8([32]byte{1})
	content := make([]byte, 16<<20)
	_, _ = random.Read(content)
	records[1].ResponseBody.Content = content
	stages(t, open, records, func(t *testing.T, s store.Store) {
		for _, r := range records {
			got, err := s.Get(t.Context(), r.EventID)
			if err != nil {
				t.Fatalf("getting record %s: %v", r.EventID, err)
			}
			if !bytes.Equal(got.ResponseBody.Content, r.ResponseBody.Content) {
				t.Errorf("record %s: the body of %d bytes came back otherwise", r.EventID, len(r.ResponseBody.Content))
			}
		}
	})
}

func addCopiesTheRecord(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer Close(t, s)
	r := NewRecords(5).Next()
	want := *r
	want.RequestHeaders = append(record.Headers(nil), r.RequestHeaders...)
	want.ResponseBody.Content = bytes.Clone(r.ResponseBody.Content)
	c := add(t, s, r)
	clear(r.ResponseBody.Content)
	clear(r.RequestHeaders)
	r.Source, r.URI = "other", "/other"
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), want.EventID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(&want, got); diff != "" {
		t.Errorf("the record changed with that of the caller (-added +stored):\n%s", diff)
	}
}

func yieldedRecordIsTheCallers(t *testing.T, open Open) {
	records := []*record.Record{NewRecords(6).Next(), NewRecords(7).Next()}
	stages(t, open, records, func(t *testing.T, s store.Store) {
		for range 2 {
			for i, got := range List(t, s, record.Query{Scope: Everything, Bodies: true}) {
				if diff := Diff(records[1-i], got); diff != "" {
					t.Fatalf("a record changed with one that was yielded (-added +stored):\n%s", diff)
				}
				clear(got.RequestBody.Content)
				clear(got.ResponseBody.Content)
				clear(got.RequestHeaders)
			}
		}
	})
}

func unknownIDIsNotFound(t *testing.T, open Open) {
	maker := NewRecords(8)
	records := []*record.Record{maker.Next(), maker.Next(), maker.Next()}
	between := record.IDAt(records[1].Timestamp)
	stages(t, open, records, func(t *testing.T, s store.Store) {
		for _, id := range []record.ID{{}, between, record.NewID(), record.FirstID(time.Unix(0, 0)), record.FirstID(time.Now().Add(time.Hour))} {
			if r, err := s.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get(%s) = %v, %v; want ErrNotFound", id, r, err)
			}
		}
	})
}
