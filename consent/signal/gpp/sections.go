package gpp

import (
	"strings"

	"github.com/mahrem/mahrem/consent/signal/bits"
)

// names are the sections by their numbers.
var names = map[int]string{
	1: "tcfeuv1", 2: "tcfeuv2", 5: "tcfcav1", 6: "uspv1", 7: "usnat", 8: "usca", 9: "usva", 10: "usco", 11: "usut", 12: "usct",
	13: "usfl", 14: "usmt", 15: "usor", 16: "ustx", 17: "usde", 18: "usia", 19: "usne", 20: "usnh", 21: "usnj", 22: "ustn",
	23: "usmn", 24: "usmd", 25: "usin", 26: "usky", 27: "usri",
}

// Names of fields.
const (
	SaleOptOut                = "SaleOptOut"
	SharingOptOut             = "SharingOptOut"
	TargetedAdvertisingOptOut = "TargetedAdvertisingOptOut"

	sensitive = "SensitiveDataProcessing"
	children  = "KnownChildSensitiveDataConsents"
)

// field is a name and how many values of two bits it has.
type field struct {
	name  string
	count int
}

// layout is the core segment of a section: after six bits for the version, values of two
// bits each.
type layout struct {
	fields []field
	// versions are what the version may be; nil means 1.
	versions []int64
	// older is the layout of shorter strings that were made before fields were added.
	older *layout
	// gpc is whether a segment for Global Privacy Control may follow.
	gpc bool
}

func (l *layout) bits() int {
	n := 6
	for _, f := range l.fields {
		n += 2 * f.count
	}
	return n
}

func one(names ...string) []field {
	fields := make([]field, len(names))
	for i, name := range names {
		fields[i] = field{name, 1}
	}
	return fields
}

func join(parts ...[]field) []field {
	var fields []field
	for _, part := range parts {
		fields = append(fields, part...)
	}
	return fields
}

// The specifications of the states repeat one another: most begin and end alike.
var (
	tail     = one("MspaCoveredTransaction", "MspaOptOutOptionMode", "MspaServiceProviderMode")
	longTail = join(one("AdditionalDataProcessingConsent"), tail)
	optOuts  = one(SaleOptOut, TargetedAdvertisingOptOut)
	sharing  = join(one("SharingNotice", "SaleOptOutNotice", "TargetedAdvertisingOptOutNotice"), optOuts)
	process  = join(one("ProcessingNotice", "SaleOptOutNotice", "TargetedAdvertisingOptOutNotice"), optOuts)
)

func state(head []field, sensitives, kids int, tail []field, gpc bool) layout {
	return layout{fields: join(head, []field{{sensitive, sensitives}, {children, kids}}, tail), gpc: gpc}
}

func national(sensitives, kids int) []field {
	return join(
		one("SharingNotice", "SaleOptOutNotice", "SharingOptOutNotice", "TargetedAdvertisingOptOutNotice", "SensitiveDataProcessingOptOutNotice",
			"SensitiveDataLimitUseNotice", SaleOptOut, SharingOptOut, TargetedAdvertisingOptOut),
		[]field{{sensitive, sensitives}, {children, kids}}, one("PersonalDataConsents"), tail)
}

var layouts = map[int]layout{
	7: {fields: national(16, 3), versions: []int64{1, 2}, older: &layout{fields: national(12, 2)}, gpc: true},
	8: {
		fields: join(one("SaleOptOutNotice", "SharingOptOutNotice", "SensitiveDataLimitUseNotice", SaleOptOut, SharingOptOut),
			[]field{{sensitive, 9}, {children, 2}}, one("PersonalDataConsents"), tail),
		gpc: true,
	},
	9:  state(sharing, 8, 1, tail, false),
	10: state(sharing, 7, 1, tail, true),
	11: state(join(sharing[:3], one("SensitiveDataProcessingOptOutNotice"), optOuts), 8, 1, tail, false),
	12: state(sharing, 8, 3, tail, true),
	13: state(process, 8, 3, longTail, false),
	14: state(sharing, 8, 3, longTail, true),
	15: state(process, 11, 3, longTail, true),
	16: state(process, 8, 1, longTail, true),
	17: state(process, 9, 5, longTail, true),
	18: state(join(process[:3], one("SensitiveDataOptOutNotice"), optOuts), 8, 1, tail, true),
	19: state(process, 8, 1, longTail, true),
	20: state(process, 8, 3, longTail, true),
	21: state(process, 10, 5, longTail, true),
	22: state(process, 8, 1, longTail, true),
	23: state(process, 8, 1, longTail, true),
}

// read reads a section: the core, and a segment of three bits with the browser's signal.
func (l *layout) read(text string) ([]Field, bool, error) {
	parts := strings.Split(text, ".")
	fields, err := l.core(parts[0])
	if err != nil {
		return nil, false, err
	}
	gpc := false
	for i, part := range parts[1:] {
		r := bits.NewReader(part)
		if kind := r.Int(2); kind != 1 || i > 0 || !l.gpc {
			r.Fail(Value)
		}
		gpc = r.Bool()
		if err := r.End(); err != nil {
			return nil, false, err
		}
	}
	return fields, gpc, nil
}

func (l *layout) core(text string) ([]Field, error) {
	if l.older != nil && 6*len(text) < l.bits() {
		return l.older.core(text)
	}
	r := bits.NewReader(text)
	version := r.Int(6)
	if known := version == 1 || len(l.versions) > 1 && version == 2; r.Err() == nil && !known {
		return nil, SectionVersion
	}
	fields := make([]Field, len(l.fields))
	for i, f := range l.fields {
		fields[i] = Field{Name: f.name, Values: make([]int, f.count)}
		for n := range fields[i].Values {
			if fields[i].Values[n] = int(r.Int(2)); fields[i].Values[n] == 3 {
				r.Fail(Value)
			}
		}
	}
	return fields, r.End()
}
