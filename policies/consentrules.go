package policies

import (
	"slices"
	"strconv"
)

// StaleRule says what becomes of a yes when the wording that was shown is out of date.
type StaleRule string

// The rules.
const (
	// StaleDeny treats it as no yes until the person says it again.
	StaleDeny StaleRule = "deny"
	// StaleKeep lets it stand: the person is to be told, and nothing more is done.
	StaleKeep StaleRule = "keep"
)

// PurposeSignals names the signals of others that speak about a purpose: each is a choice
// that people make elsewhere, in words that are not ours. A no in any of those named is a
// no to the purpose; a yes needs all of them.
type PurposeSignals struct {
	// GPC is whether Global Privacy Control turns it down.
	GPC bool `yaml:"gpc"`
	// TCF are purposes of the Transparency and Consent Framework, 1 to 11.
	TCF []int `yaml:"tcf"`
	// GPP are opt-outs of the Global Privacy Platform; see [GPPOptOuts].
	GPP []string `yaml:"gpp"`
	// ConsentMode are keys of Google Consent Mode; see [ConsentModeKeys].
	ConsentMode []string `yaml:"consent_mode"`
}

// maxTCFPurpose is the last purpose that the framework defines.
const maxTCFPurpose = 11

// GPPOptOuts returns the opt-outs of national and state sections, as their specification
// spells them, that a purpose may be turned down by.
func GPPOptOuts() []string {
	return []string{"SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut"}
}

// ConsentModeKeys returns the keys of Google Consent Mode, version 2.
func ConsentModeKeys() []string {
	return []string{
		"ad_storage", "analytics_storage", "ad_user_data", "ad_personalization",
		"functionality_storage", "personalization_storage", "security_storage",
	}
}

// YesStates are the states of the ledger that are a yes to the purpose.
func (p *Purpose) YesStates() []ConsentState {
	if p.StaleNotice == StaleKeep {
		return []ConsentState{ConsentGranted, ConsentStaleNotice}
	}
	return []ConsentState{ConsentGranted}
}

// bindsMore reports whether s has a signal that other lacks.
func (s *PurposeSignals) bindsMore(other *PurposeSignals) bool {
	return s.GPC && !other.GPC || missing(s.TCF, other.TCF) || missing(s.GPP, other.GPP) || missing(s.ConsentMode, other.ConsentMode)
}

// checkConsentRules refuses rules about consent that mean nothing, and one that opens the
// place of an objection.
func (l *loader) checkConsentRules(p *Purpose) {
	id := string(p.ID)
	oneOf(l, filePurposes, p.StaleNotice, []StaleRule{"", StaleDeny, StaleKeep}, id, "stale_notice")
	if p.StaleNotice == StaleKeep && (p.Explicit || p.Special) {
		l.fail(filePurposes, []string{id, "stale_notice"}, "explicit consent is to a wording: a purpose that asks for it cannot keep one to another")
	}
	for _, n := range p.Signals.TCF {
		if n < 1 || n > maxTCFPurpose {
			l.fail(filePurposes, []string{id, "signals", "tcf", strconv.Itoa(n)}, "want purposes of the framework, 1 to %d", maxTCFPurpose)
		}
	}
	for _, name := range p.Signals.GPP {
		oneOf(l, filePurposes, name, GPPOptOuts(), id, "signals", "gpp", name)
	}
	for _, key := range p.Signals.ConsentMode {
		oneOf(l, filePurposes, key, ConsentModeKeys(), id, "signals", "consent_mode", key)
	}
	tcf := make([]string, len(p.Signals.TCF))
	for i, n := range p.Signals.TCF {
		tcf[i] = strconv.Itoa(n)
	}
	for key, list := range map[string][]string{"tcf": tcf, "gpp": p.Signals.GPP, "consent_mode": p.Signals.ConsentMode} {
		if sorted := slices.Sorted(slices.Values(list)); len(slices.Compact(sorted)) != len(list) {
			l.fail(filePurposes, []string{id, "signals", key}, "one is named twice")
		}
	}
}
