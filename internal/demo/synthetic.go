package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Synthetic is an invented identity for a household of the Complete Journey, which
// carries no names, contacts, birth dates or consents. Everything in it is drawn from
// the household's number alone, so that the same household is the same person in every
// run, and none of it says anything about the household.
func Synthetic(household string, today time.Time) Person {
	sum := sha256.Sum256([]byte("mahrem demo, synthetic identity v1\x00" + household))
	random := rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
	from := [...]*nation{&turkish, &czech, &irish}[random.IntN(3)]
	woman := random.IntN(2) == 0
	names, family := from.men, pick(random, from.families)
	if woman {
		names = from.women
		if from.feminine != nil {
			family = from.feminine(family)
		}
	}
	given := pick(random, names)
	// Numbers must differ: two people with one telephone number are one person.
	call := ""
	if number, err := strconv.Atoi(household); err == nil && number >= 0 && number < 400_000 {
		call = phone(from, number)
	}
	age := 20 + random.IntN(60)
	home := "single"
	if random.IntN(3) > 0 {
		home = "shared"
	}
	return Person{
		Customer:     household,
		FirstName:    given,
		LastName:     family,
		Email:        fmt.Sprintf("%s.%s.%s@%s", ascii(given), ascii(family), household, from.mail),
		Phone:        call,
		City:         pick(random, from.cities),
		Street:       fmt.Sprintf("%s %d", pick(random, streets[from.language]), 1+random.IntN(180)),
		Language:     from.language,
		Jurisdiction: from.jurisdiction,
		BirthDate:    today.AddDate(-age, 0, -1-random.IntN(360)).Format(time.DateOnly),
		Household:    home,
		age:          age,
	}
}
