package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// maxAnswer is how long an answer about a token may be, in bytes.
const maxAnswer = 1 << 20

// absent is an error of a server that looks as if it could not be asked, whatever the
// token.
type absent struct {
	error
	unseen bool // it is certain: the server has seen nothing of the token
}

func (a absent) Unwrap() error { return a.error }

// reply is what a server has said.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends a question and reads the whole answer. The server is absent where no
// connection can be had, and looks so where it is too slow, has too many questions, or
// says that something behind it is away. Where it breaks off, or says 500, that is taken
// for the token's doing.
func exchange(client *http.Client, req *http.Request) (r reply, err error) {
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },               // again, where an idle one was dead
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }, // with TLS
	}))
	unanswered := func(err error) error {
		var slow net.Error
		if unseen := !connected.Load(); unseen || errors.As(err, &slow) && slow.Timeout() {
			return absent{err, unseen}
		}
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return r, unanswered(err)
	}
	defer res.Body.Close()
	if status := res.StatusCode; status == http.StatusTooManyRequests || status > http.StatusInternalServerError {
		return r, absent{error: fmt.Errorf("the server answered %d", status)}
	}
	r = reply{status: res.StatusCode, header: res.Header}
	if r.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return r, unanswered(err)
	}
	return r, nil
}

// misled reports whether a status says that the question itself was not let in, or has
// come to the wrong place.
func misled(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound ||
		status >= 300 && status < 400
}

// errNoObject is an answer that is no JSON object, or one that two readers could
// understand in two ways.
var errNoObject = errors.New("the answer is no good JSON object")

// decodeAnswer reads an answer into to.
func decodeAnswer(data []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if len(data) > maxAnswer || checkObject(data) != nil || dec.Decode(to) != nil {
		return errNoObject
	}
	return nil
}
