package caddymodule

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/capture/redact"
)

// hashes returns a function that tells what stands for a value under every
// redaction key, newest first, and whether every old key could be read.
func (k *keys) hashes() (func(value []byte) ([]auditapi.Hash, bool), error) {
	all := append([]oldKey{{secret: k.redaction, since: k.since}}, k.old...)
	known := make([]auditapi.Hash, len(all))
	redactors := make([]*redact.Redactor, len(all))
	for i, key := range all {
		name, err := fingerprint(key.secret)
		if err != nil {
			return nil, err
		}
		if redactors[i], err = redact.New(redact.Options{Key: key.secret}); err != nil {
			return nil, err
		}
		known[i] = auditapi.Hash{Key: name, Current: i == 0, Since: key.since, Until: key.until}
	}
	return func(value []byte) ([]auditapi.Hash, bool) {
		hashes := append([]auditapi.Hash(nil), known...)
		for i := range hashes {
			hashes[i].Value = redactors[i].Value(value)
		}
		return hashes, len(k.unread) == 0
	}, nil
}

// hashLimits are those of the process: neither another configuration nor a second
// API gives anybody further guesses.
var hashLimits = auditapi.NewHashLimits()

// fingerprint names a redaction key without giving it away: 16 hexadecimal digits.
func fingerprint(secret []byte) (string, error) {
	name, err := hkdf.Key(sha256.New, secret, nil, "auditgate redaction key name", 8)
	if err != nil {
		return "", fmt.Errorf("naming a redaction key: %w", err)
	}
	return hex.EncodeToString(name), nil
}

// The bounds of what the command waits for and reads.
const (
	apiTimeout   = 30 * time.Second
	maxAPIAnswer = 1 << 20
)

func hashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redact-hash [--endpoint <url>] [--token <token>]",
		Short: "Tells what stands for a secret in the records",
		Long: `
Reads a value from standard input, asks a running gateway what stands for it in
the records, and prints one line for each redaction key, the newest first: the
hash, the name of the key, and from when to when it was the current one.

The value is never an argument, where other users of the machine could see it.
On a terminal it is asked for, one line, and not shown. Of other input one line
break at its end is not part of the value. Give the value as the component got it,
unescaped; of an Authorization header only what stands behind "Bearer" or
"Basic".

Neither value nor token is sent before GET /healthz has shown that the endpoint
is an audit API. It needs a token of the role admin. The gateway records who asks, and not for
what. Endpoint and token are also read from the environment: AUDITGATE_ENDPOINT,
as in http://127.0.0.1:9600, and AUDITGATE_TOKEN: other users of the machine see
a token that is an argument.
`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	endpoint := flags.String("endpoint", "", "Where the audit API is (default: $AUDITGATE_ENDPOINT)")
	token := flags.String("token", "", "A token of the role admin for every project (default: $AUDITGATE_TOKEN)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, option := range []struct {
			value     *string
			flag, env string
		}{{endpoint, "--endpoint", "AUDITGATE_ENDPOINT"}, {token, "--token", "AUDITGATE_TOKEN"}} {
			if *option.value == "" {
				*option.value = os.Getenv(option.env)
			}
			if *option.value == "" {
				return fmt.Errorf("%s is missing: give it, or set %s", option.flag, option.env)
			}
		}
		value, err := readSecret(cmd)
		if err != nil {
			return err
		}
		api, err := findAPI(*endpoint)
		if err != nil {
			return err
		}
		answer, err := api.hashes(*token, value)
		if err != nil {
			return err
		}
		return printHashes(cmd, answer)
	}
	return cmd
}

// readSecret reads the value from standard input, without showing it.
func readSecret(cmd *cobra.Command) (string, error) {
	var value []byte
	var err error
	if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "Value (it is not shown): ")
		value, err = term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
	} else {
		value, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), auditapi.MaxHashValue+3))
		if line, ended := bytes.CutSuffix(value, []byte("\n")); ended {
			value = bytes.TrimSuffix(line, []byte("\r"))
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the value: %w", err)
	case len(value) == 0:
		return "", errors.New("reading the value: there is none on standard input")
	case len(value) > auditapi.MaxHashValue:
		return "", fmt.Errorf("reading the value: it has more than %d bytes", auditapi.MaxHashValue)
	case !utf8.Valid(value):
		return "", errors.New("reading the value: it is not text in UTF-8")
	}
	return string(value), nil
}

// hashAnswer is what the audit API answers.
type hashAnswer struct {
	Hashes   []auditapi.Hash `json:"hashes"`
	Complete bool            `json:"complete"`
}

// apiClient asks an audit API.
type apiClient struct {
	base *url.URL
	http.Client
}

// findAPI returns a client of the audit API at endpoint, or an error where there is
// none: whoever else listens there is to see neither a token nor a value.
func findAPI(endpoint string) (*apiClient, error) {
	base, err := url.Parse(endpoint)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the endpoint is not the URL of an audit API: want one such as http://127.0.0.1:9600")
	}
	api := &apiClient{base, http.Client{
		Timeout: apiTimeout,
		// A redirect would carry the value elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	req, err := http.NewRequest(http.MethodGet, base.JoinPath("healthz").String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking the audit API: %w", err)
	}
	res, err := api.ask(req)
	if err != nil {
		return nil, err
	}
	if !auditapi.IsHealth(res.code, res.header, res.content) {
		return nil, fmt.Errorf("there is no audit API at %s, so neither value nor token was sent: its /healthz answered %s", base.Redacted(), res.status)
	}
	return api, nil
}

// apiAnswer is an answer that has been read.
type apiAnswer struct {
	code    int
	status  string // code, and what it means
	header  http.Header
	content []byte // its first maxAPIAnswer bytes
}

func (api *apiClient) ask(req *http.Request) (*apiAnswer, error) {
	res, err := api.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the audit API: %w", err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAPIAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of the audit API: %w", err)
	}
	return &apiAnswer{res.StatusCode, res.Status, res.Header, content}, nil
}

// hashes asks what stands for a value.
func (api *apiClient) hashes(token, value string) (*hashAnswer, error) {
	body, err := json.Marshal(map[string]string{"secret": value})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, api.base.JoinPath("v1/hashes").String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the audit API: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := api.ask(req)
	if err != nil {
		return nil, err
	}
	if res.code != http.StatusOK {
		var problem struct{ Title, Detail string }
		_ = json.Unmarshal(res.content, &problem) // what is no problem has no words
		words := res.status
		if problem.Title != "" {
			words += ": " + problem.Title + ": " + problem.Detail
		}
		if after := res.header.Get("Retry-After"); after != "" {
			words += " (try again in " + after + " s)"
		}
		return nil, fmt.Errorf("the audit API at %s answered %s", api.base.Redacted(), words)
	}
	var answer hashAnswer
	if err := json.Unmarshal(res.content, &answer); err != nil || len(answer.Hashes) == 0 {
		return nil, fmt.Errorf("the answer of %s is not that of an audit API", api.base.Redacted())
	}
	return &answer, nil
}

func printHashes(cmd *cobra.Command, answer *hashAnswer) error {
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, h := range answer.Hashes {
		from, to := "the first start", "now"
		if !h.Since.IsZero() {
			from = h.Since.Format(time.RFC3339)
		}
		if !h.Current {
			to = h.Until.Format(time.RFC3339)
		}
		fmt.Fprintf(out, "%s\tkey %s\t%s to %s\n", h.Value, h.Key, from, to)
	}
	if !answer.Complete {
		fmt.Fprintln(cmd.ErrOrStderr(), "An old redaction key cannot be read, so there may be further hashes: the gateway's log says which.")
	}
	return out.Flush()
}
