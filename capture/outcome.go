package capture

import (
	"errors"
	"net/http"

	"github.com/auditgate/auditgate/record"
)

// statusClientLeft is what proxies note down when the client left before there
// was an answer.
const statusClientLeft = 499

// result is how an exchange ended, as the client saw it.
type result struct {
	outcome record.Outcome
	success record.Success
	status  int
	source  string // of the status: "", "error" or "refused"
	whole   bool   // the response came to its end
}

// weigh weighs what the taps have seen against what the handler returned.
func (x *Exchange) weigh() result {
	res := result{outcome: record.OutcomeComplete, status: x.response.status}
	switch {
	case x.ending.Err != nil && res.status == 0: // and no error route was seen to answer
		res.status, res.source = x.ending.Status, "error"
	case x.ending.Panic == nil && res.status == 0:
		res.status = http.StatusOK // which the server sends for a handler that wrote nothing
	}
	short := x.response.present && x.response.declared > x.response.size
	unanswered := x.ending.Err != nil && res.source == "" && !x.answered // the error came behind the header
	res.whole = x.ending.Panic == nil && !x.broken && x.response.writeErr == nil && !short && !unanswered
	switch {
	case x.response.upgraded:
		res.outcome = record.OutcomeUpgraded
	case res.status == statusClientLeft, x.response.writeErr != nil, !res.whole && x.left:
		res.outcome = record.OutcomeAborted
	case x.ending.Err != nil && x.left && res.source != "":
		res.outcome, res.status = record.OutcomeAborted, statusClientLeft
	case x.ending.Panic != nil:
		// This is how a proxy ends an answer that its upstream broke off. Any
		// other panic is the fault of a handler.
		res.outcome = record.OutcomeAborted
		if err, ok := x.ending.Panic.(error); ok && errors.Is(err, http.ErrAbortHandler) && x.facts.Proxied {
			res.outcome = record.OutcomeUpstreamError
		}
	case x.facts.Proxied && x.ending.Status >= http.StatusBadGateway && x.ending.Status <= http.StatusGatewayTimeout:
		res.outcome = record.OutcomeUpstreamError
	case !res.whole:
		res.outcome = record.OutcomeAborted // the handler stopped short of what it had announced
	}
	if x.left && res.status == 0 {
		res.status = statusClientLeft
	}
	switch {
	case res.status >= 400 && res.status != statusClientLeft:
		res.success = record.SuccessNo
	case res.outcome == record.OutcomeUpgraded:
		res.success = record.SuccessYes // however it ended: somebody goes first
	case !res.whole, res.outcome == record.OutcomeUpstreamError, res.status == 0,
		res.status == statusClientLeft: // the component may have done it all the same
		res.success = record.SuccessUnknown
	default:
		res.success = record.SuccessYes
	}
	if x.refused && res.source == "" {
		res.source = "refused"
	}
	return res
}
