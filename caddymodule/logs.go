package caddymodule

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

func init() { caddy.RegisterModule(new(LogEncoder)) }

// LogEncoder is a format for Caddy's own log that takes secrets out of every
// entry: Caddy logs the headers and the URI of each call that fails, and what
// handlers say when they fail. What is secret in a log is what is secret in a
// record, by default or because any capture of this process says so; in its
// place stands `***`.
//
//	log {
//		format audit
//	}
//
// In the global options this covers all that Caddy logs but the access logs that
// have a format of their own. Of a panic of a handler the value is left out, and
// the stack stays.
//
// A number that a module logs in a field with a secret name is not hidden, nor
// is a secret that neither its name nor its form tells. A text that names a
// secret, but not so that its value can be found, is hidden whole.
type LogEncoder struct {
	// The format that entries are then written in. Default: `json`, and
	// `console` on a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	zapcore.Encoder `json:"-"`
	ctx             caddy.Context
}

// CaddyModule implements caddy.Module.
func (*LogEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.audit", New: func() caddy.Module { return new(LogEncoder) }}
}

// Provision implements caddy.Provisioner.
func (l *LogEncoder) Provision(ctx caddy.Context) error {
	l.ctx = ctx
	// Go's own log is where an HTTP/3 server says that a handler has panicked. Left
	// alone it goes past this format, into Caddy's `sink` or its first log.
	log.SetOutput(defaultLog{})
	if l.WrappedRaw != nil {
		wrapped, err := ctx.LoadModule(l, "WrappedRaw")
		if err != nil {
			return fmt.Errorf("loading the wrapped format: %w", err)
		}
		l.wrap(wrapped.(zapcore.Encoder))
		return nil
	}
	return l.wrapDefault("json")
}

// ConfigureDefaultFormat implements caddy.ConfiguresFormatterDefault.
func (l *LogEncoder) ConfigureDefaultFormat(to caddy.WriterOpener) error {
	if inner, ok := l.Encoder.(*logEncoder).wrapped.(caddy.ConfiguresFormatterDefault); ok {
		return inner.ConfigureDefaultFormat(to)
	}
	if l.WrappedRaw == nil && caddy.IsWriterStandardStream(to) && term.IsTerminal(int(os.Stderr.Fd())) {
		return l.wrapDefault("console")
	}
	return nil
}

// wrapDefault wraps one of Caddy's formats as it is without options.
func (l *LogEncoder) wrapDefault(format string) error {
	wrapped, err := l.ctx.LoadModuleByID("caddy.logging.encoders."+format, nil)
	if err != nil {
		return fmt.Errorf("loading the default format: %w", err)
	}
	l.wrap(wrapped.(zapcore.Encoder))
	return nil
}

func (l *LogEncoder) wrap(wrapped zapcore.Encoder) {
	l.Encoder = &logEncoder{logFields{ObjectEncoder: wrapped}, wrapped}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	audit [<format> [{
//		<options of that format>
//	}]]
func (l *LogEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the format
	if !d.NextArg() {
		if d.NextBlock(0) {
			return d.Errf("format audit has no options of its own: name the format that they are of, as in `format audit json { … }`")
		}
		return nil
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "caddy.logging.encoders."+name)
	if err != nil {
		return err
	}
	l.WrappedRaw = caddyconfig.JSONModuleObject(module, "format", name, nil)
	return nil
}

// logEncoder is the encoder of a LogEncoder, or a copy of it that has some
// fields already.
type logEncoder struct {
	logFields
	wrapped zapcore.Encoder
}

// Clone implements zapcore.Encoder.
func (e *logEncoder) Clone() zapcore.Encoder {
	wrapped := e.wrapped.Clone()
	return &logEncoder{logFields{ObjectEncoder: wrapped}, wrapped}
}

// EncodeEntry implements zapcore.Encoder.
func (e *logEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	wrapped := e.wrapped.Clone()
	hiding := logFields{ObjectEncoder: wrapped}
	for i := range fields {
		fields[i].AddTo(hiding)
	}
	entry.Message = logText(entry.Message)
	return wrapped.EncodeEntry(entry, nil)
}

// logFields hides the secrets in the fields of an entry. Numbers, times and the
// like pass.
type logFields struct {
	zapcore.ObjectEncoder
	headers bool // the fields are headers
}

// AddString implements zapcore.ObjectEncoder.
func (f logFields) AddString(key, value string) {
	switch {
	case isSecretField(key):
		value = hidden
	case f.headers:
		value = logHeader(key, value)
	default:
		value = logText(value)
	}
	f.ObjectEncoder.AddString(key, value)
}

// AddByteString implements zapcore.ObjectEncoder.
func (f logFields) AddByteString(key string, value []byte) { f.AddString(key, string(value)) }

// AddBinary implements zapcore.ObjectEncoder. Nobody can look for secrets in it.
func (f logFields) AddBinary(key string, _ []byte) { f.ObjectEncoder.AddString(key, hidden) }

// AddReflected implements zapcore.ObjectEncoder.
func (f logFields) AddReflected(key string, value any) error {
	if isSecretField(key) {
		f.ObjectEncoder.AddString(key, hidden)
		return nil
	}
	if header, ok := value.(http.Header); ok {
		return f.addObject(key, caddyhttp.LoggableHTTPHeader{Header: header, ShouldLogCredentials: true}, true)
	}
	safe, err := logJSON(value)
	if err != nil {
		return err
	}
	return f.ObjectEncoder.AddReflected(key, safe)
}

// AddArray implements zapcore.ObjectEncoder.
func (f logFields) AddArray(key string, array zapcore.ArrayMarshaler) error {
	if list, ok := array.(caddyhttp.LoggableStringArray); ok {
		return f.ObjectEncoder.AddArray(key, f.strings(key, list))
	}
	return f.ObjectEncoder.AddArray(key, zapcore.ArrayMarshalerFunc(func(items zapcore.ArrayEncoder) error {
		return array.MarshalLogArray(logItems{items, key, f.headers, isSecretField(key)})
	}))
}

// strings hides the secrets in a list of the type that Caddy has for the lines of
// a header. The filters of a wrapped format know no other.
func (f logFields) strings(key string, list caddyhttp.LoggableStringArray) caddyhttp.LoggableStringArray {
	safe := make(caddyhttp.LoggableStringArray, len(list))
	items := logItems{key: key, headers: f.headers, secret: isSecretField(key)}
	for i, value := range list {
		safe[i] = items.hide(value)
	}
	return safe
}

// AddObject implements zapcore.ObjectEncoder.
func (f logFields) AddObject(key string, object zapcore.ObjectMarshaler) error {
	// Caddy has headers, resp_headers, and more with its debug level.
	return f.addObject(key, object, strings.HasSuffix(key, "headers"))
}

// addObject adds an object whose fields may be headers.
func (f logFields) addObject(key string, object zapcore.ObjectMarshaler, headers bool) error {
	if isSecretField(key) {
		f.ObjectEncoder.AddString(key, hidden)
		return nil
	}
	return f.ObjectEncoder.AddObject(key, zapcore.ObjectMarshalerFunc(func(fields zapcore.ObjectEncoder) error {
		return object.MarshalLogObject(logFields{fields, headers})
	}))
}

// logItems hides the secrets in the items of a list.
type logItems struct {
	zapcore.ArrayEncoder
	key     string // of the list
	headers bool   // they are the lines of a header
	secret  bool   // all of them
}

// hide returns an item without its secrets.
func (i logItems) hide(value string) string {
	switch {
	case i.secret:
		return hidden
	case i.headers:
		return logHeader(i.key, value)
	default:
		return logText(value)
	}
}

// AppendString implements zapcore.PrimitiveArrayEncoder.
func (i logItems) AppendString(value string) { i.ArrayEncoder.AppendString(i.hide(value)) }

// AppendByteString implements zapcore.PrimitiveArrayEncoder.
func (i logItems) AppendByteString(value []byte) { i.AppendString(string(value)) }

// AppendReflected implements zapcore.ArrayEncoder.
func (i logItems) AppendReflected(value any) error {
	if i.secret {
		i.ArrayEncoder.AppendString(hidden)
		return nil
	}
	safe, err := logJSON(value)
	if err != nil {
		return err
	}
	return i.ArrayEncoder.AppendReflected(safe)
}

// AppendArray implements zapcore.ArrayEncoder.
func (i logItems) AppendArray(array zapcore.ArrayMarshaler) error {
	return i.ArrayEncoder.AppendArray(zapcore.ArrayMarshalerFunc(func(items zapcore.ArrayEncoder) error {
		return array.MarshalLogArray(logItems{items, i.key, i.headers, i.secret})
	}))
}

// AppendObject implements zapcore.ArrayEncoder.
func (i logItems) AppendObject(object zapcore.ObjectMarshaler) error {
	if i.secret {
		i.ArrayEncoder.AppendString(hidden)
		return nil
	}
	return i.ArrayEncoder.AppendObject(zapcore.ObjectMarshalerFunc(func(fields zapcore.ObjectEncoder) error {
		return object.MarshalLogObject(logFields{ObjectEncoder: fields})
	}))
}

// defaultLog writes lines to Caddy's default log, whichever that is at the time.
type defaultLog struct{}

func (defaultLog) Write(line []byte) (int, error) {
	caddy.Log().Info(strings.TrimSpace(string(line)))
	return len(line), nil
}

// hides reports whether secrets are taken out of what is written to the logs that a
// logger writes to; true also where nothing is.
func hides(log *zap.Logger) bool {
	hides := true
	// Each core of the logger adds the field to its encoder, and writes nothing. Other
	// formats may stand around ours.
	log.With(zap.Array("", zapcore.ArrayMarshalerFunc(func(items zapcore.ArrayEncoder) error {
		_, is := items.(logItems)
		hides = hides && is
		return nil
	})))
	return hides
}

// Interface guards
var (
	_ caddy.Provisioner                = (*LogEncoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*LogEncoder)(nil)
	_ caddyfile.Unmarshaler            = (*LogEncoder)(nil)
	_ zapcore.Encoder                  = (*LogEncoder)(nil)
)
