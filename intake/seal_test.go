package intake

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

func TestMergeKeepsTheBetterValue(t *testing.T) {
	t.Parallel()
	field := func(value string, source vault.Source, quality vault.Quality, day int) vault.Field {
		return vault.Field{
			Values: []privacy.Plain{privacy.NewPlain(value)}, Source: source, Quality: quality,
			ObservedAt: time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC),
		}
	}
	const verified, unverified, disputed = vault.Verified, vault.Unverified, vault.Disputed
	minor := field("2012-01-01", vault.Declared, verified, 2)
	said := field("2012-01-01", vault.Declared, unverified, 2)
	doubted := field("2012-01-01", vault.Imported, disputed, 2)
	for name, c := range map[string]struct{ held, incoming, want vault.Field }{
		"nothing held":                       {vault.Field{}, said, said},
		"unverified of the day, of verified": {minor, field("1990-01-01", vault.Imported, unverified, 2), minor},
		"unverified and newer, of verified":  {minor, field("1990-01-01", vault.Declared, unverified, 9), minor},
		"the same, unverified":               {minor, field("2012-01-01", vault.Declared, unverified, 9), minor},
		"verified and newer":                 {minor, field("2011-01-01", vault.Imported, verified, 3), field("2011-01-01", vault.Imported, verified, 3)},
		"verified and older, of verified":    {minor, field("2011-01-01", vault.Declared, verified, 1), minor},
		"verified and older, of unverified":  {said, field("2011-01-01", vault.Declared, verified, 1), field("2011-01-01", vault.Declared, verified, 1)},
		"import of the day, of declared":     {said, field("1990-01-01", vault.Imported, unverified, 2), said},
		"later row of the day":               {said, field("2011-01-01", vault.Declared, unverified, 2), field("2011-01-01", vault.Declared, unverified, 2)},
		"newer import":                       {said, field("2011-01-01", vault.Imported, unverified, 3), field("2011-01-01", vault.Imported, unverified, 3)},
		"older":                              {said, field("2011-01-01", vault.Declared, unverified, 1), said},
		"inferred and newer, of declared":    {said, field("1990-01-01", vault.Inferred, unverified, 9), said},
		"social, even verified, of declared": {said, field("1990-01-01", vault.Social, verified, 9), said},
		"disputed, the same again":           {doubted, field("2012-01-01", vault.Imported, verified, 9), doubted},
		"disputed, another value":            {doubted, field("1990-01-01", vault.Imported, unverified, 9), doubted},
		"disputed, another verified value":   {doubted, field("1990-01-01", vault.Declared, verified, 9), doubted},
		"a dispute comes":                    {minor, field("2012-01-01", vault.Imported, disputed, 3), field("2012-01-01", vault.Declared, disputed, 3)},
		"a dispute about something else":     {minor, field("1990-01-01", vault.Imported, disputed, 3), field("2012-01-01", vault.Declared, disputed, 3)},
		"an older dispute":                   {minor, field("2012-01-01", vault.Imported, disputed, 1), minor},
	} {
		got, changed := merge(c.held, c.incoming)
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b privacy.Plain) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if want := !cmp.Equal(c.held, c.want, cmp.Comparer(func(a, b privacy.Plain) bool { return a == b })); changed != want {
			t.Errorf("%s: changed is %t", name, changed)
		}
	}
}
