package badger_test

import (
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// What a listing tells of a record whose bodies are lost, its look-up tells too.
func TestRecordWithLostBodiesIsFoundByItsID(t *testing.T) {
	dir := t.TempDir()
	s := opener(badger.Options{})(t, dir)
	maker := storetest.NewRecords(5)
	var ids []record.ID
	for range 50 {
		r := maker.Next()
		storetest.Add(t, s, r)
		ids = append(ids, r.EventID)
	}
	if err := s.(*badger.Store).Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Close(t, s)
	if err := badger.DamageBodies(dir); err != nil {
		t.Fatal(err)
	}
	s = opener(badger.Options{})(t, dir)
	defer s.Close(t.Context())
	withheld := 0
	for _, id := range ids {
		r, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatalf("record %s: %v", id, err)
		}
		if r.ResponseBody.State == record.BodyWithheld && r.ResponseBody.Reason == store.ReasonDamage {
			withheld++
		}
	}
	if withheld == 0 {
		t.Error("no body is said to be lost")
	}
}
