package capture_test

import (
	"testing"

	"github.com/auditgate/auditgate/capture"
)

func TestStatusesAreNumbersAndClasses(t *testing.T) {
	var s capture.Statuses
	if !s.Has(200) || !s.Has(599) || !s.Has(999) {
		t.Error("the zero set has not every status")
	}
	for _, text := range []string{"404", "5xx", "101"} {
		if err := s.Add(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for status := range 1000 {
		if got, want := s.Has(status), status == 404 || status/100 == 5 || status == 101; got != want {
			t.Errorf("has %d: %v", status, got)
		}
	}
	for _, text := range []string{"", "4", "4XX", "40x", "x04", "600", "6xx", "0xx", "4040", "-04", "4+4"} {
		before := s
		if err := s.Add(text); err == nil || s != before {
			t.Errorf("%q was added", text)
		}
	}
}
