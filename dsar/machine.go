package dsar

import (
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Action is what can happen to a request.
type Action string

// The actions. Those that leave the state as it is are steps of a request all the same:
// each has its entry in the log and its row among the steps.
const (
	ActionOpen        Action = "open"
	ActionAskIdentity Action = "ask_identity"
	ActionMistrust    Action = "mistrust" // an attempt to prove identity that failed
	ActionVerify      Action = "verify"
	ActionStart       Action = "start"
	ActionPause       Action = "pause"
	ActionResume      Action = "resume"
	ActionExtend      Action = "extend"
	ActionNote        Action = "note"
	ActionNotify      Action = "notify" // a letter was handed over for delivery
	ActionExport      Action = "export"
	ActionRectify     Action = "rectify"
	ActionRestrict    Action = "restrict"
	ActionUnrestrict  Action = "unrestrict"
	ActionDispute     Action = "dispute" // values that are contested are not used until rectified
	ActionObject      Action = "object"  // an objection is recorded in the consent ledger
	ActionReview      Action = "review"  // a human has looked at what a machine decided
	ActionPlan        Action = "plan"
	ActionApprove     Action = "approve"
	ActionDefer       Action = "defer" // a legal hold stands in the way
	ActionErase       Action = "erase" // the key was destroyed
	ActionFulfil      Action = "fulfil"
	ActionDeny        Action = "deny"
	ActionWithdraw    Action = "withdraw"
)

// Rule is one line of the machine: in which states an action may be taken, and what it
// leads to. What no rule allows is refused.
type Rule struct {
	Action Action
	// From are the states in which it may be taken. Empty: the request does not exist yet.
	From []State
	// To is the state that it leads to. Empty: the state stays.
	To State
	// By are the roles that may take it. A service takes only steps of its own requests.
	By []privacy.Role
	// Kinds are the kinds of request that know it. Empty: all.
	Kinds []Kind
	// Checks must pass, in this order.
	Checks []Check
	// Event is what the log says of it.
	Event audit.Kind
}

var (
	unproved = []State{Received, IdentityPending}
	working  = []State{InProgress, Extended}
	open     = []State{Received, IdentityPending, InProgress, Extended}
	// A restriction lasts longer than the work on the request that it was asked for in.
	begun  = []State{InProgress, Extended, Fulfilled, Denied, Withdrawn}
	always = []State{Received, IdentityPending, InProgress, Extended, Fulfilled, Denied, Withdrawn}

	officers = []privacy.Role{privacy.RoleDPO}
	anybody  = []privacy.Role{privacy.RoleService, privacy.RoleDPO}
)

// machine is the whole of it. docs/dsar.md prints this table and a test holds the two
// equal.
var machine = []Rule{
	{ActionOpen, nil, Received, anybody, nil, nil, audit.RequestOpened},
	{ActionAskIdentity, unproved, IdentityPending, anybody, nil, nil, audit.RequestNotified},
	{ActionMistrust, unproved, "", anybody, nil, nil, audit.RequestUnverified},
	{ActionVerify, unproved, InProgress, anybody, nil, []Check{CheckProof}, audit.RequestVerified},
	{ActionStart, unproved, InProgress, officers, nil, []Check{CheckIdentityNeedless}, audit.RequestStarted},
	{ActionPause, open, "", officers, nil, []Check{CheckRunning, CheckClock}, audit.RequestPaused},
	{ActionResume, open, "", officers, nil, []Check{CheckPaused, CheckClock}, audit.RequestResumed},
	{ActionExtend, []State{InProgress}, Extended, officers, nil, []Check{CheckClock}, audit.RequestExtended},
	{ActionNote, always, "", officers, nil, []Check{CheckText}, audit.RequestNoted},
	{ActionNotify, always, "", officers, nil, nil, audit.RequestNotified},
	{ActionExport, working, "", officers, []Kind{Access, Portability}, []Check{CheckIdentityProved}, audit.PersonExported},
	{ActionRectify, working, "", officers, []Kind{Rectification}, []Check{CheckIdentityProved}, audit.PersonRectified},
	{ActionRestrict, working, "", officers, []Kind{Restriction, Rectification, Objection, Erasure}, nil, audit.PersonRestricted},
	{ActionUnrestrict, begun, "", officers, []Kind{Restriction, Rectification, Objection, Erasure}, nil, audit.PersonUnrestricted},
	{ActionDispute, working, "", officers, []Kind{Rectification, Restriction}, nil, audit.PersonRestricted},
	{ActionObject, working, "", officers, []Kind{Objection}, nil, audit.ConsentObjected},
	{ActionReview, working, "", officers, []Kind{Review}, []Check{CheckIdentityProved, CheckText}, audit.RequestNoted},
	{ActionPlan, working, "", officers, []Kind{Erasure}, []Check{CheckIdentityProved, CheckNotErased}, audit.ErasurePlanned},
	{ActionApprove, working, "", officers, []Kind{Erasure}, []Check{CheckIdentityProved, CheckNotErased}, audit.ErasureApproved},
	{ActionDefer, working, "", officers, []Kind{Erasure}, []Check{CheckNotErased}, audit.ErasureDeferred},
	{ActionErase, working, "", officers, []Kind{Erasure}, []Check{CheckIdentityProved, CheckNotErased}, audit.PersonErased},
	{ActionFulfil, working, Fulfilled, officers, nil, []Check{CheckEvidence, CheckIdentityProved, CheckErased, CheckOutcome}, audit.RequestFulfilled},
	{ActionDeny, open, Denied, officers, nil, []Check{CheckReason, CheckNotErased}, audit.RequestDenied},
	{ActionWithdraw, open, Withdrawn, anybody, nil, []Check{CheckNotErased}, audit.RequestWithdrawn},
}

// Machine returns the rules, for who wants to print them.
func Machine() []Rule {
	rules := slices.Clone(machine)
	for i := range rules {
		rules[i].From, rules[i].By = slices.Clone(rules[i].From), slices.Clone(rules[i].By)
		rules[i].Kinds, rules[i].Checks = slices.Clone(rules[i].Kinds), slices.Clone(rules[i].Checks)
	}
	return rules
}

// ruleOf finds the one rule of an action.
func ruleOf(action Action) (*Rule, bool) {
	for i := range machine {
		if machine[i].Action == action {
			return &machine[i], true
		}
	}
	return nil, false
}
