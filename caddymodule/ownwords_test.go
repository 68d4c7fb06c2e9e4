package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/caddymodule"
)

// What Auditgate says in its log must not look like a secret there: a name such as
// token and a colon would hide the reason that follows.
func TestOwnWordsAreReadableInTheLog(t *testing.T) {
	texts := 0
	files := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil || !strings.Contains(text, " ") || !strings.Contains(text, ": ") || strings.Contains(text, `{"`) {
				return true
			}
			texts++
			said := strings.NewReplacer("%w", "the reason is this", "%s", "this", "%q", "this", "%d", "7", "%v", "this").Replace(text)
			if shown := caddymodule.LogText(said); shown != said {
				t.Errorf("%s: %q is shown as %q", path, said, shown)
			}
			return true
		})
		return nil
	}
	for _, dir := range []string{"../capture", "../record", "../store", "."} {
		if err := filepath.WalkDir(dir, files); err != nil {
			t.Fatal(err)
		}
	}
	if texts < 100 {
		t.Errorf("only %d texts were found", texts)
	}
}
