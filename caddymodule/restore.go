package caddymodule

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/auditgate/auditgate/store/backup"
	"github.com/auditgate/auditgate/store/badger"
)

// The bounds of the keys in a backup.
const (
	maxKeyFile  = 64 << 10
	maxKeyFiles = MaxOldKeys + 16
)

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup [--address <admin endpoint>] [--config <path>] [--without-keys] <file>",
		Short: "Saves the records and keys of a running gateway",
		Long: `
Saves all records of a running gateway that are committed now, and its keys, to a
file, through Caddy's admin endpoint. The gateway goes on meanwhile.

The file is checked as it comes, and gets its name when it is whole; one that was
there is replaced then. It holds what the records hold, and the keys: whoever has it
can make tokens, and guess at what was redacted. Guard it, or leave the keys out
with --without-keys. Records of a store with an encryption key stay encrypted in it;
that key is not in it: keep it elsewhere.
`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	address := flags.String("address", "", "Admin endpoint of the gateway, instead of --config")
	config := flags.StringP("config", "c", "", "Configuration file of the gateway")
	adapter := flags.StringP("adapter", "a", "", "Name of the adapter of the configuration file")
	without := flags.Bool("without-keys", false, "Leave out the keys")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		endpoint, err := caddycmd.DetermineAdminAPIAddress(*address, nil, *config, *adapter)
		if err != nil {
			return fmt.Errorf("finding the admin endpoint: %w", err)
		}
		uri := "/auditgate/backup"
		if *without {
			uri += "?keys=no"
		}
		res, err := caddycmd.AdminAPIRequest(endpoint, http.MethodGet, uri, http.Header{"User-Agent": {"auditgate (" + issuedBy() + ")"}}, nil)
		if err != nil {
			return fmt.Errorf("asking for a backup: %w", err)
		}
		defer res.Body.Close()
		b, err := takeBackup(res.Body, args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s has all records up to sequence %d of node %s, at %s.\n",
			args[0], b.Sequence, b.Node, b.Made.Format("2006-01-02T15:04:05Z"))
		if len(b.Missing) > 0 {
			return fmt.Errorf("not in the backup, since it cannot be read: %s", strings.Join(b.Missing, "; "))
		}
		return nil
	}
	return cmd
}

// takeBackup writes a backup to a file, which gets its name once it was found whole.
func takeBackup(from io.Reader, path string) (*badger.Backup, error) {
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	b := new(badger.Backup)
	out := bufio.NewWriterSize(f, 1<<20)
	stream := io.TeeReader(from, out)
	err = backup.Read(stream, b, func(string, io.Reader) error { return nil })
	if err == nil {
		_, err = io.Copy(io.Discard, stream) // the end of the tar
	}
	if err = errors.Join(err, out.Flush(), f.Sync(), f.Close()); err == nil {
		err = os.Rename(path+".part", path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path + ".part") // the next one replaces it
		return nil, fmt.Errorf("taking the backup: %w", err)
	}
	return b, nil
}

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore [--keys <dir>] <backup> <dir>",
		Short: "Makes a store of a backup",
		Long: `
Makes a store of a backup, in a directory that is empty or not there, and with --keys
the keys in another. All of it is checked; either it is there in the end, or nothing.

The store is a new one, with a name of its own: it goes on after the last sequence of
the backup, and says with a gap, reason "restored", that calls may be missing since.
So the store that the backup is of may go on beside it.

If the store was encrypted, the gateway needs its encryption_key as before; this
command does not.
`,
		Args: cobra.ExactArgs(2),
	}
	keys := cmd.Flags().String("keys", "", "Directory to restore the keys to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		b, left, err := restoreBackup(f, args[1], *keys)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s has all records up to sequence %d of node %s, at %s.\n",
			args[1], b.Sequence, b.Node, b.Made.Format("2006-01-02T15:04:05Z"))
		if left > 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "The keys in the backup were left there: --keys restores them.")
		}
		for _, m := range b.Missing {
			fmt.Fprintln(cmd.ErrOrStderr(), "Not in the backup, since it could not be read:", m)
		}
		return nil
	}
	return cmd
}

// restoreBackup restores the store of a backup to dir and, where one is named, its keys
// to the directory for keys. left is how many keys there were where none is.
func restoreBackup(from io.Reader, dir, keys string) (b *badger.Backup, left int, err error) {
	if keys != "" {
		if entries, err := os.ReadDir(keys); err == nil && len(entries) > 0 {
			return nil, 0, fmt.Errorf("restoring keys to %s: it is not empty: name a directory that is, or that is not there", keys)
		}
	}
	to, err := badger.NewRestore(dir)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.Abandon())
		}
	}()
	b = new(badger.Backup)
	found := make(map[string][]byte)
	err = backup.Read(bufio.NewReaderSize(from, 1<<20), b, func(name string, content io.Reader) error {
		if part, ok := strings.CutPrefix(name, backupStore); ok {
			return to.Put(part, content)
		}
		key, ok := strings.CutPrefix(name, backupKeys)
		if !ok || !isKeyFile(key) || len(found) == maxKeyFiles {
			return fmt.Errorf("restoring %s: it is no part of a backup", name)
		}
		data, err := io.ReadAll(io.LimitReader(content, maxKeyFile))
		found[key] = data
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if keys == "" {
		left = len(found)
	} else if err = writeKeys(keys, found); err != nil {
		return nil, 0, err
	}
	if err = to.Finish(b); err != nil && keys != "" {
		for name := range found {
			err = errors.Join(err, os.Remove(filepath.Join(keys, name)))
		}
	}
	return b, left, err
}

// writeKeys writes keys into a directory of their own.
func writeKeys(dir string, keys map[string][]byte) error {
	if len(keys) == 0 {
		return errors.New("the backup has no keys: leave out --keys")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range keys {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return syncDirectory(dir)
}
