package bits_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent/signal/bits"
)

// text turns zeros and ones into letters.
func text(zeros string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	zeros = strings.ReplaceAll(zeros, " ", "")
	for len(zeros)%6 != 0 {
		zeros += "0"
	}
	var b strings.Builder
	for ; zeros != ""; zeros = zeros[6:] {
		n := 0
		for _, bit := range zeros[:6] {
			n = n<<1 | int(bit-'0')
		}
		b.WriteByte(alphabet[n])
	}
	return b.String()
}

// The numbers of the specification of the Global Privacy Platform.
func TestFibonacci(t *testing.T) {
	t.Parallel()
	for n, code := range map[int]string{
		1: "11", 2: "011", 3: "0011", 4: "1011", 5: "00011", 6: "10011", 7: "01011", 8: "000011", 65: "0100100011",
	} {
		r := bits.NewReader(text(code + "000111"))
		if got := r.Fibonacci(); got != n || r.Err() != nil {
			t.Errorf("%s is %d (%v), want %d", code, got, r.Err(), n)
		}
		if got := r.Int(6); got != 7 {
			t.Errorf("after %s stands %d, want 7", code, got)
		}
	}
	for _, code := range []string{"", "10", "101010101", strings.Repeat("0", 60) + "11", strings.Repeat("10", 20) + "11"} {
		r := bits.NewReader(text(code))
		if got := r.Fibonacci(); got != 0 || r.Err() == nil {
			t.Errorf("%q was read as %d", code, got)
		}
	}
}

// Lists as the reference implementation writes them.
func TestFibonacciRange(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bits.Set{
		"000000000000":               nil,
		"0000000000010011":           {{2, 2}},
		"00000000000110111011":       {{2, 6}},
		"000000000010001110011011":   {{2, 2}, {5, 7}},
		"0000000000100001110110011":  {{3, 3}, {5, 8}},
		"00000000001000111001101011": {{2, 2}, {5, 12}},
	} {
		r := bits.NewReader(text(code))
		if diff := cmp.Diff(want, r.FibonacciRange()); diff != "" || r.End() != nil {
			t.Errorf("%s: %v %s", code, r.Err(), diff)
		}
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, code string
		want       bits.Set
		fault      error
	}{
		{"one and a group", "000000000010 0 0000000000000011 1 0000000000000101 0000000000001000", bits.Set{{3, 3}, {5, 8}}, nil},
		{"not in order", "000000000010 0 0000000000001001 0 0000000000000011", bits.Set{{9, 9}, {3, 3}}, nil},
		{"backwards", "000000000001 1 0000000000001000 0000000000000101", nil, bits.Range},
		{"zero", "000000000001 0 0000000000000000", nil, bits.Range},
		{"above the limit", "000000000001 0 0000000000011111", nil, bits.Range},
		{"too few", "000000000010 0 0000000000000011", nil, bits.Truncated},
	}
	for _, test := range tests {
		r := bits.NewReader(text(test.code))
		if diff := cmp.Diff(test.want, r.Range(20)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if err := r.End(); !errors.Is(err, test.fault) {
			t.Errorf("%s: %v, want %v", test.name, err, test.fault)
		}
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	r := bits.NewReader("C-_")
	if got := r.Int(6); got != 2 {
		t.Errorf("first letter is %d", got)
	}
	if diff := cmp.Diff(bits.Set{{1, 5}}, r.Flags(6)); diff != "" {
		t.Error(diff)
	}
	if err := r.End(); !errors.Is(err, bits.Trailing) {
		t.Errorf("six ones left over: %v", err)
	}
	for bad, want := range map[string]error{"": bits.Empty, "A+": bits.Alphabet, "A=": bits.Alphabet, "A": bits.Truncated, "Aé": bits.Alphabet} {
		r := bits.NewReader(bad)
		if r.Int(12); !errors.Is(r.Err(), want) {
			t.Errorf("%q: %v, want %v", bad, r.Err(), want)
		}
		if r.Int(3) != 0 || r.Bool() || r.Left() != 0 || r.Flags(4) != nil || r.Letters(1) != "" || r.Range(9) != nil || r.FibonacciRange() != nil {
			t.Errorf("%q: something was read after the fault", bad)
		}
	}
	if r := bits.NewReader(text("000000 011001")); r.Letters(2) != "AZ" || r.End() != nil {
		t.Error("letters")
	}
	if r := bits.NewReader(text("011010")); r.Letters(1) != "" || !errors.Is(r.Err(), bits.Range) {
		t.Error("the letter after Z was read")
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	set := bits.Set{{9, 12}, {3, 3}}
	for n, want := range map[int]bool{2: false, 3: true, 4: false, 8: false, 9: true, 12: true, 13: false} {
		if set.Has(n) != want {
			t.Errorf("%d: %v", n, !want)
		}
	}
}

func ExampleReader() {
	r := bits.NewReader("DBABM")
	fmt.Println(r.Int(6), r.Int(6), r.FibonacciRange(), r.End())
	// Output: 3 1 [{2 2}] <nil>
}

func FuzzReader(f *testing.F) {
	f.Add("DBABM", []byte{6, 100, 101})
	f.Add("CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA", []byte{36, 102, 103, 104})
	f.Fuzz(func(t *testing.T, in string, fields []byte) {
		r := bits.NewReader(in)
		for _, field := range fields {
			left := r.Left()
			switch field {
			case 100:
				r.Fibonacci()
			case 101:
				last := 0
				for _, span := range r.FibonacciRange() {
					if span.First <= last || span.Last < span.First {
						t.Fatalf("%v after %d", span, last)
					}
					last = span.Last
				}
			case 102:
				for _, span := range r.Range(500) {
					if span.First < 1 || span.Last < span.First || span.Last > 500 {
						t.Fatal(span)
					}
				}
			case 103:
				r.Letters(2)
			default:
				if n := r.Int(int(field) % 37); n < 0 || n >= 1<<36 {
					t.Fatal(n)
				}
			}
			if r.Left() > left {
				t.Fatal("went back")
			}
		}
		if r.End() == nil && r.Left() != 0 {
			t.Fatal("something is left after the end")
		}
	})
}
