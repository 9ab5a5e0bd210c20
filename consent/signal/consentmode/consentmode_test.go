package consentmode_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mahrem/mahrem/consent/signal/consentmode"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		values map[string]string
		want   error
	}{
		{nil, nil},
		{map[string]string{"ad_storage": "granted", "analytics_storage": "denied"}, nil},
		{map[string]string{"ad_storage": "Granted"}, consentmode.Value},
		{map[string]string{"ad_storage": ""}, consentmode.Value},
		{map[string]string{"ad_storage": "true"}, consentmode.Value},
		{map[string]string{"Ad_Storage": "granted"}, consentmode.Key},
		{map[string]string{"wait_for_update": "500"}, consentmode.Key},
		{map[string]string{"wait_for_update": "500", "ad_storage": "yes"}, consentmode.Key},
	}
	for _, test := range tests {
		state, err := consentmode.Decode(test.values)
		if !errors.Is(err, test.want) || (err == nil) != (state != nil) {
			t.Errorf("%v: %v %v", test.values, state, err)
		}
	}
	for _, key := range consentmode.Keys() {
		state, err := consentmode.Decode(map[string]string{key: "granted"})
		if granted, spoken := state.Choice(key); err != nil || !granted || !spoken {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func ExampleDecode() {
	state, err := consentmode.Decode(map[string]string{"ad_user_data": "denied"})
	fmt.Println(err)
	fmt.Println(state.Choice("ad_user_data"))
	fmt.Println(state.Choice("ad_storage"))
	// Output:
	// <nil>
	// false true
	// false false
}

func FuzzDecode(f *testing.F) {
	f.Add("ad_storage", "granted", "ad_user_data", "denied")
	f.Add("wait_for_update", "500", "", "")
	f.Fuzz(func(t *testing.T, key, value, other, second string) {
		state, err := consentmode.Decode(map[string]string{key: value, other: second})
		if (err == nil) != (state != nil) {
			t.Fatal(err)
		}
		for k, granted := range state {
			if said := map[string]string{key: value, other: second}[k]; granted != (said == "granted") || !granted && said != "denied" {
				t.Fatalf("%q %q", k, said)
			}
		}
	})
}
