package gpc_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent/signal/gpc"
)

func TestAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		values []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"1"}, true},
		{[]string{"0"}, false},
		{[]string{"1", "1"}, true},
		{[]string{"0", "1"}, true},
		{[]string{"1", "junk"}, true},
		{[]string{"", "1", "0"}, true},
		{[]string{" 1"}, false},
		{[]string{"1 "}, false},
		{[]string{"1,1"}, false},
		{[]string{"1;q=1"}, false},
		{[]string{"01"}, false},
		{[]string{"11"}, false},
		{[]string{"true"}, false},
		{[]string{"?1"}, false},
		{[]string{"1.0"}, false},
		{[]string{"１"}, false},
		{[]string{"1\x00"}, false},
	}
	for _, test := range tests {
		if got := gpc.Asked(test.values); got != test.want {
			t.Errorf("%q: %v", test.values, got)
		}
	}
}

func TestSupport(t *testing.T) {
	t.Parallel()
	var body struct {
		GPC        bool   `json:"gpc"`
		LastUpdate string `json:"lastUpdate"`
	}
	at := time.Date(2026, 3, 2, 1, 0, 0, 0, time.FixedZone("", 3*3600))
	if err := json.Unmarshal(gpc.Support(at), &body); err != nil || !body.GPC || body.LastUpdate != "2026-03-01" {
		t.Error(err, body)
	}
}

func ExampleAsked() {
	fmt.Println(gpc.Asked([]string{"0", "1"}), gpc.Asked([]string{"1, 1"}))
	// Output: true false
}

func FuzzAsked(f *testing.F) {
	f.Add("1", "0")
	f.Add("1,1", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		values := []string{a, b}
		if got := gpc.Asked(values); got != slices.Contains(values, "1") || got != gpc.Asked([]string{b, a}) || got != (gpc.Asked(values[:1]) || gpc.Asked(values[1:])) {
			t.Errorf("%q: %v", values, got)
		}
	})
}
