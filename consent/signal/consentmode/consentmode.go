// Package consentmode reads the state of Google Consent Mode, version 2: which kinds of
// storage and use a visitor granted or denied, as the tag on the page says it.
package consentmode

import (
	"slices"

	"github.com/mahrem/mahrem/consent/signal/bits"
)

// The faults.
const (
	// Key: a key that there is not.
	Key bits.Fault = "key"
	// Value: something other than granted and denied.
	Value bits.Fault = "value"
)

// Keys are all keys, sorted. The two about advertising users came with version 2.
func Keys() []string {
	return []string{
		"ad_personalization", "ad_storage", "ad_user_data", "analytics_storage",
		"functionality_storage", "personalization_storage", "security_storage",
	}
}

// State is what was said of each key. A key that is missing was not spoken of.
type State map[string]bool

// Choice reports whether key was spoken of, and granted.
func (s State) Choice(key string) (granted, spoken bool) {
	granted, spoken = s[key]
	return granted, spoken
}

// Decode reads a state. One key or value that there is not spoils all: whoever wrote it
// may have meant something. The error is a [bits.Fault].
func Decode(values map[string]string) (State, error) {
	state := make(State, len(values))
	var fault error
	for key, value := range values {
		switch {
		case !slices.Contains(Keys(), key):
			fault = Key // whichever comes first in the map
		case value != "granted" && value != "denied" && fault == nil:
			fault = Value
		}
		state[key] = value == "granted"
	}
	if fault != nil {
		return nil, fault
	}
	return state, nil
}
