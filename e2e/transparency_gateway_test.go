package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// matrix is what all cells share: a gateway whose sites are there twice, with a
// capture and without, and the component behind them.
type matrix struct {
	t       *testing.T
	gateway *gateway
	ports   map[door]string
	trust   *tls.Config // of clients: the gateway's certificate
	ported  *strings.Replacer
	cells   *sync.Map // *cell by id
	count   *atomic.Int64
}

// door is one of the ports of the gateway. Full duplex over HTTP/1.1 is for
// Caddy a matter of a port.
type door struct{ tls, captured, duplex bool }

// The sites: what stands in each beside the capture. A %[1]s is the component
// over HTTP/1.1, a %[2]s the same over HTTP/2, %[3]s an address where nobody is,
// %[4]s the capture where there is one.
var sites = map[string]string{
	"plain":    "%[4]s \n reverse_proxy %[1]s {\n flush_interval -1 \n }",
	"default":  "%[4]s \n reverse_proxy %[1]s", // without flush_interval, whose first flush races with the end of an answer without a body
	"expect":   "%[4]s \n reverse_proxy %[1]s {\n transport http {\n expect_continue_timeout 1m \n } \n }",
	"grpc":     "%[4]s \n reverse_proxy h2c://%[2]s",
	"retry":    "%[4]s \n reverse_proxy %[1]s {\n lb_retries 1 \n lb_try_interval 1ms \n lb_retry_match {\n method GET \n } \n }",
	"inside":   "%[4]s \n encode gzip \n reverse_proxy %[1]s",
	"outside":  "route {\n encode gzip \n %[4]s \n reverse_proxy %[1]s \n }",
	"limit":    "%[4]s \n request_body {\n max_size 1KB \n } \n reverse_proxy %[1]s",
	"error":    "%[4]s \n reverse_proxy %[3]s \n handle_errors {\n respond `sorry` 418 \n }",
	"answered": "%[4]s \n reverse_proxy %[3]s \n handle_errors {\n %[4]s \n respond `sorry` 418 \n }",
	"private":  "%[4]s \n basic_auth {\n alice $2a$14$iBjA.EE775cgbzS1Y6/0zeGY/YH4zAg5LPrLULRliEx5QLJp5Pu7G \n } \n reverse_proxy %[1]s",
	"respond":  "%[4]s \n header X-Own yes \n respond `from the gateway` 203",
	"redir":    "%[4]s \n redir * /elsewhere{uri} 308",
	"panic":    "%[4]s \n respond `no such status` 99",
}

// startMatrix starts the component and the gateway.
func startMatrix(t *testing.T) *matrix {
	g := newGateway(t)
	g.env = []string{"GODEBUG=http2xconnect=1"} // Go's HTTP/2 server has no extended CONNECT without
	m := &matrix{t: t, gateway: g, ports: make(map[door]string), cells: new(sync.Map), count: new(atomic.Int64)}
	var ports []string
	for i := range 8 {
		_, port, err := net.SplitHostPort(freeAddress(t))
		if err != nil {
			t.Fatal(err)
		}
		m.ports[door{i&1 != 0, i&2 != 0, i&4 != 0}] = port
		ports = append(ports, ":"+port, ":port")
	}
	m.ported = strings.NewReplacer(ports...)
	certificate, key := m.certify()
	component := m.startComponent().Listener.Addr().String()
	rpc := m.startRPC()

	var config strings.Builder
	fmt.Fprintf(&config, `{
	admin unix/%[1]s/admin
	auto_https off
	default_bind 127.0.0.1
	grace_period 1s
	servers {
		protocols h1 h2 h2c h3
	}
	auditgate {
		store badger {
			path %[1]s/store
		}
		keys %[1]s/keys
	}
`, g.dir)
	for d, port := range m.ports {
		if d.duplex {
			fmt.Fprintf(&config, "\tservers 127.0.0.1:%s {\n\t\tprotocols h1 h2 h2c h3\n\t\tenable_full_duplex\n\t}\n", port)
		}
	}
	config.WriteString("}\n")
	nobody := freeAddress(t)
	for d, port := range m.ports {
		scheme, capture, tls := "http", "", ""
		if d.tls {
			scheme, tls = "https", fmt.Sprintf("tls %s %s", certificate, key)
		}
		if d.captured {
			capture = "audit_capture matrix"
		}
		for name, site := range sites {
			fmt.Fprintf(&config, "%s://%s.test:%s {\n%s\n", scheme, name, port, tls)
			fmt.Fprintf(&config, site+"\n}\n", component, rpc, nobody, capture)
		}
	}
	fmt.Fprintf(&config, "%s {\n\taudit_api\n}\n", g.audit)
	if err := os.WriteFile(g.config, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()
	g.bearer = g.token("auditor")
	return m
}

// in returns m for a test within its test.
func (m *matrix) in(t *testing.T) *matrix {
	of := *m
	of.t = t
	return &of
}

// host is the name and port of a site, address where it listens.
func (m *matrix) host(site string, p protocol, captured bool) string {
	if site == "" || site == duplex {
		return "plain.test:" + m.port(site, p, captured)
	}
	return site + ".test:" + m.port(site, p, captured)
}

func (m *matrix) address(site string, p protocol, captured bool) string {
	return "127.0.0.1:" + m.port(site, p, captured)
}

// duplex is the site `plain` where HTTP/1.1 is full duplex.
const duplex = "duplex"

func (m *matrix) port(site string, p protocol, captured bool) string {
	return m.ports[door{p.tls, captured, site == duplex}]
}

// unaddressed returns text without the ports, which are others with a capture
// than without.
func (m *matrix) unaddressed(text string) string { return m.ported.Replace(text) }

// certify makes a certificate for the sites, which clients of m trust, and
// returns its files.
func (m *matrix) certify() (certificate, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"*.test"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		m.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		m.t.Fatal(err)
	}
	certificate, key = m.gateway.dir+"/cert.pem", m.gateway.dir+"/key.pem"
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{
		certificate: public, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(public)
	m.trust = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	return certificate, key
}
