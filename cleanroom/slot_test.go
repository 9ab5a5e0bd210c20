package cleanroom

import "testing"

func TestSlotsFollowTheOrderOfTheContract(t *testing.T) {
	t.Parallel()
	c := &Contract{Columns: []Column{
		{Name: "group", Role: Dimension, Type: Enum},
		{Name: "spend", Role: Measure, Type: Integer},
		{Name: "day", Role: Dimension, Type: Day},
		{Name: "store", Role: Hidden, Type: Enum},
		{Name: "items", Role: Measure, Type: Integer},
	}}
	for name, want := range map[string]Slot{"group": "d1", "spend": "m1", "day": "d2", "store": "d3", "items": "m2"} {
		if got, ok := c.SlotOf(name); !ok || got != want {
			t.Errorf("%s: %s, %t, want %s", name, got, ok, want)
		}
	}
	if slot, ok := c.SlotOf("nobody"); ok {
		t.Errorf("a column that does not exist has slot %s", slot)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	closed := &Column{Type: Enum, Domain: []string{"a", "b"}}
	open := &Column{Type: Enum, Domain: []string{"a", "b", "rest"}, Other: "rest"}
	day := &Column{Type: Day, First: "2026-01-01", Last: "2026-12-31"}
	number := &Column{Type: Integer, Lo: 0, Hi: 10}
	for _, test := range []struct {
		column *Column
		value  string
		want   int64
		ok     bool
	}{
		{closed, "a", 0, true},
		{closed, "b", 1, true},
		{closed, "c", -1, false},
		{closed, "", -1, false},
		{open, "c", 2, true},
		{day, "2026-01-01", 20454, true},
		{day, "2026-12-31", 20818, true},
		{day, "2025-12-31", 0, false},
		{day, "2027-01-01", 0, false},
		{day, "2026-02-30", 0, false},
		{day, "20260101", 0, false},
		{number, "12", 12, true},
		{number, "-3", -3, true},
		{number, "10000000000", 10_000_000_000, true},
		{number, "10000000001", 0, false},
		{number, "+1", 0, false},
		{number, "01", 0, false},
		{number, "1.5", 0, false},
		{number, "", 0, false},
	} {
		got, ok := test.column.Encode(test.value)
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%s %q: %d, %t, want %d, %t", test.column.Type, test.value, got, ok, test.want, test.ok)
		}
	}
	if formatDay(20454) != "2026-01-01" {
		t.Errorf("day 20454 is %s", formatDay(20454))
	}
}
