package redact

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEveryDefaultIsInTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/redaction.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(defaultHeaders, headerEndings, defaultFields, endings) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("%s is not in docs/redaction.md", name)
		}
	}
}
