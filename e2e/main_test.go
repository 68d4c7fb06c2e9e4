package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

var (
	long      = flag.Bool("long", false, "kill and stop the gateway 50 times each, instead of 3")
	reloadFor = flag.Duration("reload-for", 5*time.Second, "how long to reload under load")
)

// program is the gateway, built for this run.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "auditgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a directory for the gateway:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "auditgate")
	if err := build(program, "../cmd/auditgate"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds the program that is in folder, as the tests are built.
func build(path, folder string) error {
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raceDetector() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, folder)...).CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", folder, err, out)
	}
	return nil
}

// raceDetector reports whether the tests run with it; then the gateway does too.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// loops is how often a test ends the gateway.
func loops() int {
	if *long {
		return 50
	}
	return 3
}
