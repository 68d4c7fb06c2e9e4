package auditapi

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

// MaxHashValue is how long a value may be whose hashes are asked for, in bytes.
const MaxHashValue = 64 << 10

// The bounds of how often hashes may be asked for. Whoever can ask can try
// guesses at a secret; so few that only a value which is known comes to be
// found.
const (
	CallerHashes      = 10              // of one caller, at once
	CallerHashesEvery = 6 * time.Second // and then one more
	AllHashes         = 30              // of all callers, at once
	AllHashesEvery    = time.Second     // and then one more
)

// maxHashRequest is how long a request for hashes may be: its value with each
// byte written as \u0000, and what stands around it.
const maxHashRequest = 6*MaxHashValue + 1<<10

// Hash is what stands for a secret in the records of one time.
type Hash struct {
	// Key names the redaction key, and does not give it away.
	Key string `json:"key"`
	// Current is true for the key of new records.
	Current bool `json:"current"`
	// Since and Until are when the key began and ended to be the current one;
	// zero where it is not known or not so.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Value is what stands in those records.
	Value string `json:"value"`
}

// hashes answers POST /v1/hashes: what stands for a value that the caller knows.
// The value itself goes nowhere else, also not into an error.
func (a *API) hashes(x *exchange) error {
	if !slices.Contains(x.caller.roles, Admin) {
		return forbidden.because("claim %q of the token has no value that means admin here", a.config.RolesClaim)
	}
	if !x.caller.scope.AllProjects {
		return forbidden.because("the hashes are those of every project, and the token is not for every project")
	}
	pretty, err := x.onlyPretty()
	if err != nil {
		return err
	}
	if wait := a.config.HashLimits.take(x.caller.key, time.Now()); wait > 0 {
		seconds := int(math.Ceil(wait.Seconds()))
		return tooManyRequests.because("hashes may be asked for %d times by one caller and then every %s, by all %d times and then every %s",
			CallerHashes, CallerHashesEvery, AllHashes, AllHashesEvery).with("Retry-After", strconv.Itoa(seconds))
	}
	value, err := readHashRequest(x.w, x.r)
	if err != nil {
		return err
	}
	var answer struct {
		Hashes   []Hash `json:"hashes"`
		Complete bool   `json:"complete"`
	}
	answer.Hashes, answer.Complete = a.config.Hashes([]byte(value))
	object, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	x.json(object, pretty)
	return nil
}

// readHashRequest returns the value of a request for hashes. Its name there has
// everybody who records bodies take it out, as a capture before the API does.
func readHashRequest(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHashRequest))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return "", tooLarge.because("the request has more than %d bytes", maxHashRequest)
	case err != nil:
		return "", invalidBody.because("the request could not be read to its end")
	case !utf8.Valid(body):
		return "", invalidBody.because("the request is not text in UTF-8")
	}
	// What the decoder says of a mistake would quote the request.
	var request map[string]json.RawMessage
	var secret *string
	if json.Unmarshal(body, &request) != nil || len(request) != 1 || json.Unmarshal(request["secret"], &secret) != nil || secret == nil {
		return "", invalidBody.because(`want a JSON object with one string: {"secret": "…"}`)
	}
	switch {
	case *secret == "":
		return "", invalidBody.because("secret is empty, and what is empty is not hashed")
	case len(*secret) > MaxHashValue:
		return "", tooLarge.because("secret has %d bytes, want %d at most", len(*secret), MaxHashValue)
	}
	return *secret, nil
}

// HashLimits bounds how often hashes are asked for. It may be used from many
// goroutines, and shared by APIs.
type HashLimits struct {
	mu      sync.Mutex // guards all
	all     *rate.Limiter
	callers map[[32]byte]*rate.Limiter // those who asked of late
}

// NewHashLimits returns limits of which nothing is used up.
func NewHashLimits() *HashLimits {
	return &HashLimits{
		all:     rate.NewLimiter(rate.Every(AllHashesEvery), AllHashes),
		callers: make(map[[32]byte]*rate.Limiter),
	}
}

// take returns 0 and counts, or returns how long the caller has to wait. No more
// callers are remembered than all may ask in the time of one.
func (l *HashLimits) take(caller [32]byte, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.callers, func(_ [32]byte, own *rate.Limiter) bool { return own.TokensAt(now) >= CallerHashes })
	own := l.callers[caller]
	if own == nil {
		own = rate.NewLimiter(rate.Every(CallerHashesEvery), CallerHashes)
	}
	mine := own.ReserveN(now, 1)
	if wait := mine.DelayFrom(now); wait > 0 {
		mine.CancelAt(now)
		return wait
	}
	everybodys := l.all.ReserveN(now, 1)
	if wait := everybodys.DelayFrom(now); wait > 0 {
		everybodys.CancelAt(now)
		mine.CancelAt(now)
		return wait
	}
	l.callers[caller] = own
	return 0
}
