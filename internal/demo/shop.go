package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Seed is the seed of the bundled shop: the same seed and the same last day give the
// same shop, to the byte.
const Seed = 6698

// Days is how far back the bundled shop's purchases go.
const Days = 90

// Person is one customer of the bundled shop. Nobody real is meant.
type Person struct {
	Customer  string
	FirstName string
	LastName  string
	Email     string
	Phone     string
	City      string
	Street    string
	// Position is where the shop's app saw the phone last, if at all.
	Position     string
	Language     string
	Jurisdiction string
	BirthDate    string
	Household    string // shared or single
	Persona      string
	// Interest is what a social network says about the person, if anything.
	Interest string
	Consents []Consent
	home     int
	age      int
	role     role
}

// Consent is one choice of a person.
type Consent struct {
	Purpose    privacy.Purpose
	Action     consent.Action
	At         time.Time
	ValidUntil time.Time
}

// Purchase is one line of one receipt.
type Purchase struct {
	Order    string
	Line     int
	Customer string
	SKU      string
	Quantity int
	Cents    int
	At       time.Time
}

// Shop is the bundled shop: people, and what they bought in the days before LastDay.
type Shop struct {
	LastDay   time.Time
	People    []Person
	Purchases []Purchase
}

// NewShop makes the shop of about four hundred people. The dates are counted back from
// the day of now, so that a purchase of last week is one of last week whenever the
// demo runs.
func NewShop(seed uint64, now time.Time) *Shop {
	m := &maker{
		random: rand.New(rand.NewPCG(seed, seed^0x6d616872656d)),
		shop:   &Shop{LastDay: now.UTC().Truncate(24 * time.Hour)},
		taken:  map[string]bool{},
	}
	m.cast()
	for len(m.shop.People) < 400 {
		m.household()
	}
	for i := range m.shop.People {
		m.baskets(&m.shop.People[i])
	}
	for i := range m.shop.People {
		m.consents(&m.shop.People[i])
	}
	return m.shop
}

// maker draws the shop. Its random is a seeded generator on purpose: the people are
// invented and the shop has to be the same for everybody who reads about it.
type maker struct {
	random *rand.Rand
	shop   *Shop
	taken  map[string]bool
	homes  int
	orders int
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// household adds the people of one home: single adults, couples, families with
// children, some of them minors.
func (m *maker) household() {
	from := [...]*nation{&turkish, &turkish, &czech, &czech, &irish}[m.random.IntN(5)]
	family := pick(m.random, from.families)
	city := pick(m.random, from.cities)
	m.homes++
	size := [...]int{1, 1, 2, 2, 3, 4, 5}[m.random.IntN(7)]
	for i := range size {
		age := 20 + m.random.IntN(60)
		if i >= 2 {
			age = 8 + m.random.IntN(16)
		}
		m.add(from, m.random.IntN(2) == 0, "", family, city, age, size > 1, none)
	}
}

// add makes one person. given may be empty to have a name drawn.
func (m *maker) add(from *nation, woman bool, given, family, city string, age int, shared bool, part role) *Person {
	names := from.men
	if woman {
		names = from.women
		if from.feminine != nil {
			family = from.feminine(family)
		}
	}
	if given == "" {
		given = pick(m.random, names)
	}
	n := len(m.shop.People)
	born := m.shop.LastDay.AddDate(-age, 0, -1-m.random.IntN(360))
	person := Person{
		Customer:     fmt.Sprintf("C-%05d", 10_001+7*n),
		FirstName:    given,
		LastName:     family,
		Email:        m.mailbox(given, family, from.mail),
		Phone:        phone(from, n),
		City:         city,
		Street:       fmt.Sprintf("%s %d", streets[from.language][m.random.IntN(4)], 1+m.homes%180),
		Language:     from.language,
		Jurisdiction: from.jurisdiction,
		BirthDate:    born.Format(time.DateOnly),
		Household:    "single",
		home:         m.homes,
		age:          age,
		role:         part,
	}
	if shared {
		person.Household = "shared"
	}
	if m.random.IntN(6) == 0 {
		person.Interest = pick(m.random, []string{"yoga", "running", "baking", "gardening", "football"})
	}
	m.shop.People = append(m.shop.People, person)
	return &m.shop.People[n]
}

// mailbox makes an address that nobody else in the shop has, under a domain that is
// reserved for examples (RFC 2606).
func (m *maker) mailbox(given, family, domain string) string {
	base := ascii(given) + "." + ascii(family)
	for i := 1; ; i++ {
		address := fmt.Sprintf("%s@%s", base, domain)
		if i > 1 {
			address = fmt.Sprintf("%s%d@%s", base, i, domain)
		}
		if !m.taken[address] {
			m.taken[address] = true
			return address
		}
	}
}

var streets = map[string][]string{
	"tr": {"Papatya Sokak", "Ihlamur Caddesi", "Çınar Sokak", "Menekşe Caddesi"},
	"cs": {"Lipová ulice", "Květnová ulice", "Zahradní ulice", "Nádražní ulice"},
	"en": {"Orchard Lane", "Harbour Street", "Chapel Road", "Meadow Close"},
}

// phone makes a number in E.164 that cannot be called: area codes that do not exist in
// Turkey and the Czech Republic, and Ireland's range for fiction.
func phone(from *nation, n int) string {
	switch from.jurisdiction {
	case "TR":
		return fmt.Sprintf("+90100%07d", 5_550_000+n)
	case "CZ":
		return fmt.Sprintf("+420111%06d", 555_000+n)
	}
	return fmt.Sprintf("+353209%06d", 110_000+n)
}
