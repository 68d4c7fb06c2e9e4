package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// An oldKey is a redaction key that another one has taken the place of. It
// hides nothing any more: it is there to find the hashes that it made.
type oldKey struct {
	secret []byte
	since  time.Time // zero: since the first start
	until  time.Time
}

// An old key lies beside the current one under the time at which it was
// replaced, in UTC: redaction-20261122T101500Z.key.
const (
	oldKeyPrefix = "redaction-"
	oldKeySuffix = ".key"
	oldKeyTime   = "20060102T150405Z"
)

// MaxOldKeys is how many old redaction keys are loaded, the newest ones. Hashes
// that were made with older ones cannot be found.
const MaxOldKeys = 256

func oldKeyName(until time.Time) string {
	return oldKeyPrefix + until.UTC().Format(oldKeyTime) + oldKeySuffix
}

// oldKeyUntil is the inverse of oldKeyName; false for other names.
func oldKeyUntil(name string) (time.Time, bool) {
	text, ok := strings.CutPrefix(name, oldKeyPrefix)
	text, ended := strings.CutSuffix(text, oldKeySuffix)
	until, err := time.Parse(oldKeyTime, text)
	return until, ok && ended && err == nil
}

// loadOldKeys reads the old redaction keys in dir, newest first, and returns when
// the current one took the place of the last of them. An old key that cannot be
// read costs the hashes of its time and not the start: unread says so.
func loadOldKeys(dir string, current []byte) (old []oldKey, since time.Time, unread []error, err error) {
	entries, err := os.ReadDir(dir) // sorted by name, which here is by time
	if err != nil {
		return nil, since, nil, fmt.Errorf("looking for old keys: %w", err)
	}
	for _, entry := range entries {
		until, ok := oldKeyUntil(entry.Name())
		if !ok {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		content, err := os.ReadFile(path)
		var secret []byte
		if err == nil {
			secret, err = parseRedactionKey(content)
		}
		if err != nil {
			unread = append(unread, fmt.Errorf("reading the old key %s: %w", path, err))
		}
		if bytes.Equal(secret, current) {
			continue // a rotation that was broken off
		}
		// So is the first of two names of one key, if it was then done.
		old = slices.DeleteFunc(old, func(k oldKey) bool { return secret != nil && bytes.Equal(k.secret, secret) })
		old = append(old, oldKey{secret: secret, until: until})
	}
	for i := range old {
		old[i].since, since = since, old[i].until
	}
	slices.Reverse(old)
	old = slices.DeleteFunc(old, func(k oldKey) bool { return k.secret == nil })
	if len(old) > MaxOldKeys {
		unread = append(unread, fmt.Errorf("%s has %d old keys: only the newest %d are used", dir, len(old), MaxOldKeys))
		old = old[:MaxOldKeys]
	}
	return old, since, unread, nil
}

// rotateKey puts a new redaction key in the place of the one in dir, keeps that
// one beside it, and returns its new path. Wherever it is broken off, dir has a
// usable key and every key that ever was one; no key is overwritten.
func rotateKey(dir string, now time.Time) (kept string, err error) {
	lock, err := os.Open(dir)
	if err != nil {
		return "", fmt.Errorf("opening the directory for keys: %w", err)
	}
	defer lock.Close() // which ends the lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return "", fmt.Errorf("locking %s, where another rotation may be under way: %w", dir, err)
	}
	k, err := loadKeys(dir)
	if err != nil {
		return "", err
	}

	content, err := newRedactionKey()
	if err != nil {
		return "", err
	}
	current := filepath.Join(dir, redactionFile)
	var old unix.Stat_t
	switch err := unix.Lstat(current, &old); {
	case err != nil:
		return "", fmt.Errorf("looking at %s: %w", current, err)
	case old.Mode&unix.S_IFMT != unix.S_IFREG:
		// What it points to would not be kept.
		return "", fmt.Errorf("%s is a link or the like: put the key itself there first", current)
	}
	// Run as root, this leaves the gateway a key that it can read.
	temporary, err := writeTemporary(current, content, int(old.Uid))
	if err != nil {
		return "", fmt.Errorf("writing a new key: %w", err)
	}
	defer os.Remove(temporary) // which is gone when all went well
	if !now.After(k.since) {
		now = k.since // two within a second, or a clock that was set back
	}
	for {
		kept = filepath.Join(dir, oldKeyName(now))
		if err = os.Link(current, kept); !errors.Is(err, fs.ErrExist) {
			break
		}
		now = now.Add(time.Second)
	}
	if err == nil {
		err = syncDirectory(dir) // the old name is durable before the new key is
	}
	if err == nil {
		err = os.Rename(temporary, current)
	}
	if err == nil {
		err = syncDirectory(dir)
	}
	if err != nil {
		return "", fmt.Errorf("putting a new key in place: %w", err)
	}
	return kept, nil
}

func rotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-key [--config <path>] [--keys <dir>]",
		Short: "Makes a new redaction key",
		Long: `
Makes a new key for the hashes that stand for secrets, and keeps the old one
beside it. From then on a secret has another hash than before; redact-hash finds
both. Nothing that is stored changes. Tokens and markers stay good.

A running gateway takes the new key with its next start, or when it is told to
load its configuration again even if nothing has changed in it: reload --force.

The directory of the keys is the one that the configuration names (without
--config the Caddyfile of the working directory, if there is one), or its default
place in Caddy's data directory; run this as the user that runs the gateway.
Keep a copy of the directory: without an old key its hashes tell nothing.
`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	config := flags.StringP("config", "c", "", "Configuration file of the gateway (default: Caddyfile)")
	adapter := flags.StringP("adapter", "a", "", "Name of the adapter of the configuration file")
	dir := flags.String("keys", "", "Directory of the keys, instead of --config")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		switch {
		case *dir == "":
			if *dir, _, err = readConfig(cmd, *config, *adapter); err != nil {
				return err
			}
		case *config != "":
			return errors.New("--keys and --config both say where the keys are: give one of them")
		}
		if _, err := existingKeys(*dir); err != nil {
			return err
		}
		kept, err := rotateKey(*dir, time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "There is a new redaction key in %s; the old one is now %s.\nA running gateway takes the new one with its next start or `reload --force`.\n", *dir, filepath.Base(kept))
		return err
	}
	return cmd
}
