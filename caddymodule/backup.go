package caddymodule

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/backup"
	"github.com/auditgate/auditgate/store/badger"
)

func init() { caddy.RegisterModule(adminAPI{}) }

// backupPatience is how long one write to whoever takes a backup may stand still.
const backupPatience = 5 * time.Minute

// The folders of a backup.
const (
	backupStore = "store/"
	backupKeys  = "keys/"
)

// adminAPI serves, at Caddy's admin endpoint, `GET /auditgate/backup`: a backup of the
// store and of the keys, as a tar; `?keys=no` leaves the keys out. It owns nothing.
type adminAPI struct{}

// CaddyModule implements caddy.Module.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.auditgate", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/auditgate/backup", Handler: caddy.AdminHandlerFunc(serveBackup)}}
}

// backing is held while a backup is made: one at a time.
var backing sync.Mutex

// saver is a store that can be saved while it works.
type saver interface {
	Backup(ctx context.Context, put func(name string, size int64, content io.Reader) error) (*badger.Backup, error)
}

func serveBackup(w http.ResponseWriter, r *http.Request) error {
	refuse := func(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }
	if r.Method != http.MethodGet {
		return refuse(http.StatusMethodNotAllowed, fmt.Errorf("method %s: want GET", r.Method))
	}
	loaded, err := caddy.ActiveContext().AppIfConfigured("auditgate")
	if err != nil {
		return refuse(http.StatusServiceUnavailable, fmt.Errorf("there is no audit store in this configuration: %w", err))
	}
	app := loaded.(*App)
	e, release := app.lease()
	defer release()
	s, err := e.current()
	if err != nil {
		return refuse(http.StatusServiceUnavailable, err)
	}
	from, ok := s.(saver)
	if !ok {
		return refuse(http.StatusNotImplemented, errors.New("this kind of store has no backups of ours"))
	}
	if !backing.TryLock() {
		return refuse(http.StatusConflict, errors.New("a backup is being made already: wait for its end"))
	}
	defer backing.Unlock()
	w.Header().Set("Content-Type", "application/x-tar")
	began := record.NewID()
	told, err := app.backup(r.Context(), from, patient{w, http.NewResponseController(w)}, r.URL.Query().Get("keys") != "no")
	e.add(app.recordOfBackup(r, began, told, err))
	if err != nil {
		app.log.Error("a backup was broken off", slog.Any("error", err))
		panic(http.ErrAbortHandler) // who takes it sees that it is not whole
	}
	for _, m := range told.Missing {
		app.log.Error("a backup does not have all of a segment", slog.String("segment", m))
	}
	return nil
}

// savedBackup is what the record of a backup tells. Of one that was broken off it is
// what went out until then.
type savedBackup struct {
	*badger.Backup
	Keys     bool   `json:"keys"`             // whether keys are in it
	Bytes    int64  `json:"bytes"`            // of the file
	SHA256   string `json:"sha256,omitempty"` // of the file; absent where it is not whole
	Endpoint string `json:"endpoint"`         // of the admin API, as unix//run/caddy/admin
}

// backup writes a backup to w.
func (a *App) backup(ctx context.Context, from saver, w io.Writer, withKeys bool) (*savedBackup, error) {
	file := &fileWriter{to: w, digest: sha256.New()}
	out := backup.NewWriter(file)
	told := new(savedBackup)
	made, err := from.Backup(ctx, func(name string, size int64, content io.Reader) error {
		return out.Add(backupStore+name, size, content)
	})
	told.Backup = made
	if err == nil && withKeys {
		told.Keys = true
		err = saveKeys(a.Keys, out)
	}
	if err == nil {
		err = out.Finish(made)
	}
	if told.Bytes = file.written; err == nil {
		told.SHA256 = hex.EncodeToString(file.digest.Sum(nil))
	}
	return told, err
}

// fileWriter counts and digests what goes through it.
type fileWriter struct {
	to      io.Writer
	digest  hash.Hash
	written int64
}

func (f *fileWriter) Write(data []byte) (int, error) {
	n, err := f.to.Write(data)
	f.digest.Write(data[:n])
	f.written += int64(n)
	return n, err
}

// recordOfBackup returns the record of a backup that was handed out, or broken off. Who
// took it is known where the admin endpoint asks for certificates; else there is the
// peer, which a socket has not, and the agent, which is the client's word.
func (a *App) recordOfBackup(r *http.Request, began record.ID, told *savedBackup, broken error) *record.Record {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		told.Endpoint = local.Network() + "/" + local.String()
	}
	out := control("store.backup", "", told)
	out.EventID, out.Timestamp = began, began.Time()
	out.Status, out.Method, out.URI, out.Protocol = http.StatusOK, r.Method, r.URL.EscapedPath(), r.Proto
	switch {
	case broken != nil:
		out.Description = fmt.Sprintf("A backup was broken off after %d bytes", told.Bytes)
		out.Outcome, out.Success = record.OutcomeAborted, record.SuccessUnknown
	case told.Keys:
		out.Description = fmt.Sprintf("A backup up to sequence %d was handed out, with keys", told.Sequence)
	default:
		out.Description = fmt.Sprintf("A backup up to sequence %d was handed out, without keys", told.Sequence)
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		out.UserIP, out.PeerIP = host, host
	}
	if conn := r.TLS; conn != nil && len(conn.VerifiedChains) > 0 && len(conn.PeerCertificates) > 0 {
		out.Actor = identity.FromCertificate(conn.PeerCertificates[0])
	}
	// What the client says of itself may hold secrets.
	if redactor, err := a.redactor(redact.Options{}); err == nil {
		text := func(place, value string) string {
			value, out.Redacted = redactor.URL(value, place, out.Redacted)
			return strings.ToValidUTF8(value[:min(len(value), maxAgent)], "\uFFFD")
		}
		out.UserAgent = text("user_agent", r.UserAgent())
		out.Host = text("host", r.Host)
	}
	return out
}

// maxAgent is how much of what a client of the admin endpoint says of itself is kept.
const maxAgent = 512

// saveKeys adds the keys in dir, the old ones too.
func saveKeys(dir string, out *backup.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isKeyFile(e.Name()) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		if err := out.Add(backupKeys+e.Name(), int64(len(content)), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	return nil
}

// isKeyFile reports whether a file in the directory of keys is one of them.
func isKeyFile(name string) bool {
	_, old := oldKeyUntil(name)
	return old || name == redactionFile || name == signingFile
}

// patient gives each write its time: whoever stops reading is cut off, and does not
// hold up the next backup for ever.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p patient) Write(data []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(backupPatience)) // where it can be set
	return p.ResponseWriter.Write(data)
}

// Interface guards
var _ caddy.AdminRouter = (*adminAPI)(nil)
