package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It is no measure of
// speed: a test that waits this long has failed.
const patience = time.Minute

// gateway is the program with a configuration and a directory of its own. It
// can be ended and started again, and then finds what it left.
type gateway struct {
	t       *testing.T
	program string
	dir     string
	config  string // the file
	traffic string // where the calls go: http://127.0.0.1:…
	audit   string // where the audit API is
	bearer  string
	env     []string     // of the program, beside its directories
	client  *http.Client // follows no redirects and decodes nothing

	cmd  *exec.Cmd
	dead chan struct{} // closed when cmd has ended, by the goroutine of start
}

// startGateway starts a gateway that proxies to the component at upstream, with
// audit_capture as in `capture`, and waits until it is ready.
func startGateway(t *testing.T, upstream string) *gateway {
	t.Helper()
	g := newGateway(t)
	g.write(g.site(upstream))
	g.start()
	g.bearer = g.token("auditor")
	return g
}

// in returns g for a test within its test.
func (g *gateway) in(t *testing.T) *gateway {
	of := *g
	of.t = t
	return &of
}

// newGateway returns a gateway that has no configuration yet and does not run.
func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, program: program, dir: t.TempDir(), traffic: "http://" + freeAddress(t), audit: "http://" + freeAddress(t)}
	g.config = filepath.Join(g.dir, "Caddyfile")
	g.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(g.end)
	return g
}

// site is the configuration of most tests: calls go through a capture to the
// component, which gets the id of the record to come.
func (g *gateway) site(upstream string) string {
	return fmt.Sprintf(`%s {
	audit_capture nova
	reverse_proxy %s {
		header_up X-Audit-Id {audit.event_id}
		flush_interval -1
	}
}
`, g.traffic, upstream)
}

// write writes the configuration: the sites given, and the audit API.
func (g *gateway) write(sites string) {
	g.t.Helper()
	config := fmt.Sprintf(`{
	admin unix/%[1]s/admin
	auto_https off
	default_bind 127.0.0.1
	auditgate {
		store badger {
			path %[1]s/store
		}
		keys %[1]s/keys
	}
}
%[2]s
%[3]s {
	audit_api
}
`, g.dir, sites, g.audit)
	if err := os.WriteFile(g.config, []byte(config), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// command returns a command of the program, with this gateway's directories.
func (g *gateway) command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.program, args...)
	cmd.Dir = g.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "XDG_DATA_HOME=" + g.dir + "/data", "XDG_CONFIG_HOME=" + g.dir + "/config",
		"GORACE=atexit_sleep_ms=0", // or each end of a process takes a second
	}, g.env...)
	return cmd
}

// start starts the program and waits until it is ready.
func (g *gateway) start() {
	g.t.Helper()
	g.startUntil("the gateway is ready", http.StatusOK)
}

// startUntil starts the program and waits until its health is that.
func (g *gateway) startUntil(what string, health int) {
	g.t.Helper()
	log, err := os.OpenFile(g.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	defer log.Close() // the process has its own
	g.cmd = g.command("run", "--config", g.config)
	g.cmd.Stdout, g.cmd.Stderr = log, log
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	dead := make(chan struct{})
	g.dead = dead
	go func(cmd *exec.Cmd) { // ends with the process
		_ = cmd.Wait() // its state is in cmd
		close(dead)
	}(g.cmd)
	g.t.Logf("gateway %d: started", g.cmd.Process.Pid)
	wait(g.t, what, func() bool {
		select {
		case <-dead:
			g.t.Fatalf("the gateway ended instead of starting: %v\n%s", g.cmd.ProcessState, g.log())
		default:
		}
		res, err := g.client.Get(g.audit + "/healthz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == health
	})
}

// signal sends the running program a signal and waits for its end.
func (g *gateway) signal(sig syscall.Signal) *os.ProcessState {
	g.t.Helper()
	if err := g.cmd.Process.Signal(sig); err != nil {
		g.t.Fatalf("sending %v: %v", sig, err)
	}
	select {
	case <-g.dead:
	case <-time.After(patience):
		_ = g.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
		<-g.dead
		g.t.Fatalf("the gateway went on after %v\n%s", sig, g.log())
	}
	g.client.CloseIdleConnections()
	return g.cmd.ProcessState
}

// stop ends the program as an operator does, and expects that it goes well.
func (g *gateway) stop() {
	g.t.Helper()
	if state := g.signal(syscall.SIGTERM); !state.Success() {
		g.t.Errorf("the gateway ended with %v, want exit status 0", state)
	}
}

// end is the last thing of each test: the gateway stops, and its log holds no
// sign of a bug.
func (g *gateway) end() {
	if g.dead != nil {
		select {
		case <-g.dead:
		default:
			g.stop()
		}
	}
	log := g.log()
	for _, sign := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(log, sign) {
			g.t.Errorf("the gateway's log has %q", sign)
		}
	}
	if g.t.Failed() {
		g.t.Logf("the gateway's log, its end:\n%s", log[max(0, len(log)-16<<10):])
	}
}

func (g *gateway) logFile() string { return filepath.Join(g.dir, "log") }

func (g *gateway) log() string {
	log, err := os.ReadFile(g.logFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		g.t.Error(err)
	}
	return string(log)
}

// token returns a token for all projects, made by the command. It names the sources.
func (g *gateway) token(role string, sources ...string) string {
	g.t.Helper()
	cmd := g.command("audit", "token", "--config", g.config, "--role", role, "--project", "*", "--ttl", "15m", "--source", strings.Join(sources, ","))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		g.t.Fatalf("making a token: %v\n%s", err, &complaint)
	}
	return strings.TrimSpace(out.String())
}

// reload loads the configuration again, through the admin API, as a whole: also
// where it is the same.
func (g *gateway) reload(ctx context.Context) error {
	config, err := os.ReadFile(g.config)
	if err != nil {
		return err
	}
	admin := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", g.dir+"/admin")
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/load", bytes.NewReader(config))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate")
	res, err := admin.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var problem bytes.Buffer
		_, _ = problem.ReadFrom(res.Body)
		return fmt.Errorf("loading a configuration: %s: %s", res.Status, &problem)
	}
	return nil
}

// anonymous returns how many bytes of memory the program holds that are no
// mapped file; 0 where the system does not tell.
func (g *gateway) anonymous() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "RssAnon:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel writes a number
			return kib << 10
		}
	}
	return 0
}

// freePort is the port that is tried next. They are below those that the kernel gives to
// whoever asks for any, so that nobody gets one between its choice and its use.
var freePort atomic.Int32

func init() { freePort.Store(12000 + int32(os.Getpid()%1500)*10) }

// freeAddress returns an address of this machine on which nobody listens, another one
// each time.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 20000 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+freePort.Add(1)%20000)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("all ports are taken")
	return ""
}

// wait returns when what is true, and ends the test if it never is.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
