// Package auditgate is an audit gateway for HTTP APIs, as modules of the Caddy
// web server. Importing it adds them:
//
//   - `audit_capture <source>`, in front of a component API, records every call
//     that passes: who, when, from where, method, URI, outcome, and both bodies up
//     to a cap, secrets taken out;
//   - `audit_api` serves the records, newest first, to whoever has a token;
//   - the global option `auditgate` says where and how they are kept.
//
// A call goes through these packages: [caddymodule] lets capture watch it; when
// it has ended, capture makes a record of it and passes that to store, which
// commits it to its journal and later packs it into Badger; auditapi reads it
// back. The word for everything is in record.
//
// What is promised, and how it is kept, is in docs/design.md.
package auditgate

import (
	_ "github.com/auditgate/auditgate/caddymodule" // registers the modules
)
