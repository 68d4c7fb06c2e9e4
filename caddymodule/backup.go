package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

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
	made, err := app.backup(r.Context(), from, patient{w, http.NewResponseController(w)}, r.URL.Query().Get("keys") != "no")
	if err != nil {
		app.log.Error("a backup was broken off", slog.Any("error", err))
		panic(http.ErrAbortHandler) // who takes it sees that it is not whole
	}
	for _, m := range made.Missing {
		app.log.Error("a backup does not have all of a segment", slog.String("segment", m))
	}
	e.add(&record.Record{
		EventID: record.NewID(), Source: record.Self, Action: "store.backup",
		Description: fmt.Sprintf("A backup up to sequence %d was handed out", made.Sequence),
		Success:     record.SuccessYes, Outcome: record.OutcomeComplete,
	})
	return nil
}

// backup writes a backup to w.
func (a *App) backup(ctx context.Context, from saver, w io.Writer, withKeys bool) (*badger.Backup, error) {
	out := backup.NewWriter(w)
	made, err := from.Backup(ctx, func(name string, size int64, content io.Reader) error {
		return out.Add(backupStore+name, size, content)
	})
	if err != nil {
		return nil, err
	}
	if withKeys {
		if err := saveKeys(a.Keys, out); err != nil {
			return nil, err
		}
	}
	return made, out.Finish(made)
}

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
