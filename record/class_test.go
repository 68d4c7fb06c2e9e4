package record_test

import (
	"testing"

	"github.com/auditgate/auditgate/record"
)

func TestClassFollowsFromMethodSourceAndGap(t *testing.T) {
	for _, test := range []struct {
		r    record.Record
		want record.Class
	}{
		{record.Record{Source: "nova", Method: "POST"}, record.ClassWrites},
		{record.Record{Source: "nova", Method: "PROPFIND"}, record.ClassWrites},
		{record.Record{}, record.ClassWrites},
		{record.Record{Source: "nova", Method: "GET"}, record.ClassReads},
		{record.Record{Source: "nova", Method: "HEAD"}, record.ClassReads},
		{record.Record{Source: "nova", Method: "OPTIONS"}, record.ClassReads},
		{record.Record{Source: record.Self, Method: "GET"}, record.ClassControl},
		{record.Record{Source: record.Self, Method: "POST"}, record.ClassControl},
		{record.Record{Source: "nova", Gap: &record.Gap{Count: 1}}, record.ClassControl},
	} {
		got, err := record.ClassOf(test.r.AppendMeta(nil))
		if got != test.want || err != nil {
			t.Errorf("class of %s from %q, gap %v, is %s, %v; want %s", test.r.Method, test.r.Source, test.r.Gap, got, err, test.want)
		}
	}
	if _, err := record.ClassOf([]byte{0xff}); err == nil {
		t.Error("malformed metadata has a class and no error")
	}
}
