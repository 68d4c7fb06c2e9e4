// Package redact takes secrets out of headers, URLs and bodies before anything
// else sees them.
//
// # What is secret
//
// A value is secret by the name that it stands under. In names only letters and
// digits count, in either case: adminPass, admin_pass and ADMIN-PASS are one
// name. Names are compared unescaped, so "\u0070assword" and p%61ssword are
// found. A name is judged as a whole and by each of the parts that dots and
// brackets separate, so user[password] is a password. Beside the listed names
// those are secret that end in certain words: db_password is a password,
// whatever the db. The lists are in names.go. A name may also stand beside its
// value: {"name": "password", "value": "x"}, ["--password", "x"].
//
// A secret name takes all that stands under it, an object or array too. A [Keep]
// takes back what a name says, where a value and a call are known not to be secret.
//
// Other values are secret by their place, as [Options] list pointers and paths, or
// by their looks: JSON Web Tokens, private keys in PEM and, on request, the numbers
// of payment cards.
//
// # What stands in its place
//
// See [Mode]. With [HMAC] it is "hmac:" and 32 hexadecimal digits: the first 16
// bytes of an HMAC-SHA256 of the value, unescaped, under a key of its own. The
// same secret looks the same wherever it stands, and cannot be read. null and the
// empty string stay, and so does what stands for a secret already. All that is not
// secret stays byte for byte, and JSON stays JSON.
//
// # Where it is looked for
//
//   - JSON is read in one pass by a validating scanner. Strings and names are
//     searched as text that may hold JSON, markup, YAML, pairs as URLs have, and
//     prose. What is not JSON is withheld.
//   - Forms and queries are read pair by pair; their values are searched like
//     strings of JSON. A form on several lines is then scanned as text, since that
//     is what it may be.
//   - XML and HTML are read tag by tag: see the rule at the function markup.
//   - Other text is scanned: see the rule at the function text. Columns of a secret
//     name cannot be: such text is withheld.
//   - Multipart bodies are read part by part.
//   - Images, audio, video and fonts are kept as they are. All else is withheld,
//     if [Body] does not ask for it.
//
// The beginning of a body, or of a line that [Cut] has cut, is searched like a
// whole one. A secret that the cut went through is dropped, and so is what may
// become one: half a name in JSON, half the authority of a URL, half a token; a
// string or number called value, whose name may have followed.
package redact
