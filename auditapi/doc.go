// Package auditapi is the way out: an HTTP API that shows the records of a
// store to those who may see them.
//
//	GET /v1/{project}/logs                            records, newest first
//	GET /v1/{project}/logs/{event_id}                 one record, whole
//	GET /v1/{project}/logs/{event_id}/request_body    the kept bytes, as an attachment
//	GET /v1/{project}/logs/{event_id}/response_body
//	GET /v1/{project}/summary                         counts over time, and of the most frequent values
//	POST /v1/hashes                                   what stands for a secret that the caller knows
//	GET /v1/whoami                                    the caller, as the token has it
//	GET /healthz                                      for probes; needs no token
//
// The project "-" stands for all that the token may see. What a caller may not
// see is answered like what is not there. Errors are problems (RFC 9457); the
// list of their types stands in problem.go.
//
// A listing is a snapshot. Its first page pins the newest sequence of the
// store, and its marker, sealed against reading and change, carries that, the
// query, and for whom it is good; so pages that are read one after the other
// have every record once, whatever is written meanwhile.
//
// Each request is itself a record, handed to [Config.Audit] when it has ended.
package auditapi
