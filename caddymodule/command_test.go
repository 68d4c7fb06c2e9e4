package caddymodule_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/auditgate/auditgate/caddymodule"
)

// execute runs a command and returns what it prints, on both outputs, and its error.
func execute(cmd *cobra.Command, in string, args ...string) (out, complaint string, err error) {
	var o, c bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&o)
	cmd.SetErr(&c)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return o.String(), c.String(), err
}

func TestCommandsUseTheCaddyfileThatIsThere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	keys := filepath.Join(dir, "keys")
	write(t, dir, "Caddyfile", fmt.Sprintf("{\n\tauditgate {\n\t\tkeys %s\n\t}\n}\n", keys))
	before := load(t, keys)

	out, complaint, err := execute(caddymodule.TokenCommand(), "")
	if err != nil || strings.Count(out, ".") != 2 || complaint != "The configuration is "+filepath.Join(dir, "Caddyfile")+".\n" {
		t.Errorf("token prints %q and %q, %v", out, complaint, err)
	}
	write(t, dir, "Caddyfile", fmt.Sprintf("{\n\tauditgate {\n\t\tkeys %s\n\t}\n}\n:1 {\n\thandle {\n\t\taudit_capture billing\n\t}\n}\n", keys))
	_, complaint, err = execute(caddymodule.TokenCommand(), "", "--source", "billng,billing", "--source", "*", "--source", "auditgate")
	if _, warning, _ := strings.Cut(complaint, ".\n"); err != nil || warning != "No audit_capture of this configuration has the source \"billng\".\n" {
		t.Errorf("a source that is not there: token complains %q, %v", complaint, err)
	}
	out, complaint, err = execute(caddymodule.RotateCommand(), "")
	if err != nil || !strings.Contains(out, "a new redaction key in "+keys+";") || !strings.Contains(complaint, filepath.Join(dir, "Caddyfile")) {
		t.Errorf("rotate-key prints %q and %q, %v", out, complaint, err)
	}
	if after := load(t, keys); bytes.Equal(before.Redaction(), after.Redaction()) {
		t.Error("the key is the same")
	}
	if _, _, err = execute(caddymodule.RotateCommand(), "", "--config", "Caddyfile", "--keys", keys); err == nil || err.Error() != "--keys and --config both say where the keys are: give one of them" {
		t.Errorf("both options: %v", err)
	}

	t.Chdir(t.TempDir()) // where the default place is meant
	if _, complaint, err = execute(caddymodule.TokenCommand(), ""); err == nil || !strings.Contains(err.Error(), "data") || complaint != "" {
		t.Errorf("without a Caddyfile token complains %q, %v", complaint, err)
	}
}

func TestUnknownVerbsAreErrors(t *testing.T) {
	audit := func() *cobra.Command {
		cmd := &cobra.Command{Use: "audit"}
		caddymodule.AuditCommand(cmd)
		root := &cobra.Command{Use: "auditgate"}
		root.AddCommand(cmd)
		return root
	}
	if _, _, err := execute(audit(), "", "audit", "nonsense"); err == nil || !strings.Contains(err.Error(), `"nonsense"`) || !strings.Contains(err.Error(), "token") {
		t.Errorf("the error is %v", err)
	}
	if out, _, err := execute(audit(), "", "audit"); err != nil || !strings.Contains(out, "redact-hash") {
		t.Errorf("without a verb it prints %q, %v", out, err)
	}
}

func TestNeitherValueNorTokenGoesElsewhere(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"another service": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{\"status\":\"ok\"}\n") },
		"a redirect":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"nothing":         http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 10)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked <- fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header["Authorization"], string(body))
				answer(w, r)
			}))
			defer srv.Close()
			_, _, err := execute(caddymodule.HashCommand(), "hunter2", "--endpoint", srv.URL, "--token", "c4nary")
			if err == nil || !strings.Contains(err.Error(), "there is no audit API at "+srv.URL) {
				t.Errorf("the error is %v", err)
			}
			close(asked)
			for got := range asked {
				if got != "GET /healthz []" {
					t.Errorf("asked for %s", got)
				}
			}
		})
	}
}
