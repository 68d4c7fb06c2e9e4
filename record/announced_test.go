package record_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

func TestAnnouncedStandsBeforeTheRecordAndChangesNothingOfIt(t *testing.T) {
	want := full()
	for _, next := range []uint64{0, 1, 127, 128, 1<<64 - 1} {
		meta := want.AppendMeta(record.AppendAnnounced(nil, next))
		if got := record.Announced(meta); got != next {
			t.Errorf("announced before %d, want %d", got, next)
		}
		var got record.Record
		if err := got.SetMeta(want.EventID, meta); err != nil {
			t.Fatal(err)
		}
		var plain record.Record
		if err := plain.SetMeta(want.EventID, want.AppendMeta(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plain, got); diff != "" {
			t.Errorf("announced before %d (-without +with):\n%s", next, diff)
		}
	}
	for _, meta := range [][]byte{nil, {0xff}, {0xb0, 0x02}, {0xb0, 0x02, 0xff}} { // the tag, and no number behind it
		if got := record.Announced(meta); got != 0 {
			t.Errorf("% x: announced before %d, want 0", meta, got)
		}
	}
}
