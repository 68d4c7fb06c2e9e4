package e2e_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the tour prints into the README")

// The blocks of the README that show commands and what they print.
var console = regexp.MustCompile("(?s)```console\n(.*?)```")

// What differs from run to run: ids, times, hashes, and how long it took.
var volatile = []struct {
	pattern *regexp.Regexp
	is      string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`[0-9a-f]{64}|hmac:[0-9a-f]{32}|"(node|policy)": "[0-9a-f]{16}"`), "HASH"},
	{regexp.MustCompile(`"duration_ms": [0-9.]+`), "DURATION"},
	{regexp.MustCompile(`"sequence": \d+`), "SEQUENCE"},
	{regexp.MustCompile(`"marker": "[^"]+"`), "MARKER"},
	{regexp.MustCompile(`curl/[0-9.]+`), "CURL"},
}

func steady(s string) string {
	for _, v := range volatile {
		s = v.pattern.ReplaceAllString(s, v.is)
	}
	return s
}

// The tour of the README is run with a real shell and curl, against the example
// configuration; only its ports are others.
func TestTourPrintsWhatTheReadmeSays(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t)
	component := freeAddress(t)
	addresses := strings.NewReplacer(
		"127.0.0.1:8080", strings.TrimPrefix(g.traffic, "http://"),
		"127.0.0.1:8081", component,
		"127.0.0.1:9600", strings.TrimPrefix(g.audit, "http://"),
	)
	back := strings.NewReplacer(strings.TrimPrefix(g.traffic, "http://"), "127.0.0.1:8080")
	config := addresses.Replace(string(example))
	config = strings.Replace(config, "{\n", "{\n\tadmin unix/"+g.dir+"/admin\n", 1)
	if err := os.WriteFile(g.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()

	// One shell runs all commands, so that variables live on.
	var script strings.Builder
	for _, block := range console.FindAllStringSubmatch(string(readme), -1) {
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				command = strings.ReplaceAll(command, "go run ./cmd/auditgate", program)
				command = strings.ReplaceAll(command, "Caddyfile.example", g.config)
				script.WriteString(addresses.Replace(command) + "\nsleep 0.2; echo @@@\n") // a record is made when its call has ended
			}
		}
	}
	shell := g.command()
	shell.Path, shell.Args = "/bin/sh", []string{"sh"}
	shell.Stdin = strings.NewReader(script.String())
	printed, err := shell.Output()
	if err != nil {
		t.Fatalf("running the tour: %v", err)
	}
	answers := strings.Split(back.Replace(string(printed)), "@@@\n")

	next := 0
	got := console.ReplaceAllStringFunc(string(readme), func(block string) string {
		var out strings.Builder
		out.WriteString("```console\n")
		for line := range strings.Lines(block) {
			if strings.HasPrefix(line, "$ ") {
				answer := answers[next]
				next++
				if answer != "" && !strings.HasSuffix(answer, "\n") {
					answer += "\n"
				}
				out.WriteString(line + answer)
			}
		}
		return out.String() + "```"
	})
	if *update {
		if err := os.WriteFile("../README.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if steady(got) != steady(string(readme)) {
		t.Errorf("the tour prints\n%s", got)
	}
}
