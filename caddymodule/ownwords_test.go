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
// token and a colon would hide the reason that follows. Texts are judged as they stand
// in the source, those of several parts with + as one; what is put together elsewhere, as
// an error that wraps another, is not.
func TestOwnWordsAreReadableInTheLog(t *testing.T) {
	texts := 0
	judge := func(path, text string) {
		if !strings.Contains(text, " ") || !strings.Contains(text, ": ") || strings.Contains(text, `{"`) {
			return
		}
		texts++
		said := strings.NewReplacer("%w", "the reason is this", "%s", "this", "%q", "this", "%d", "7", "%v", "this").Replace(text)
		if shown := caddymodule.LogText(said); shown != said {
			t.Errorf("%s: %q is shown as %q", path, said, shown)
		}
	}
	files := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if text, found := textOf(e); found {
					judge(path, text)
				}
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

// textOf returns the text that an expression makes, with a word for each part that is
// not written there, and whether any is.
func textOf(e ast.Expr) (text string, found bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			left, inLeft := textOf(e.X)
			right, inRight := textOf(e.Y)
			return left + right, inLeft || inRight
		}
	}
	return "this", false
}
