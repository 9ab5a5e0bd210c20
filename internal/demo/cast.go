package demo

import "time"

// role is the part somebody plays in the story. Everybody else has none.
type role int

const (
	none role = iota
	// expecting bought a pregnancy test and what goes with it; no explicit consent.
	expecting
	// testOnly bought a pregnancy test and nothing else that points to it.
	testOnly
	// twin has the groceries of testOnly to the minute, and no test.
	twin
	// hinting bought no test, but unscented lotion, cotton wool and zinc.
	hinting
	// control bought groceries only, with the same rhythm and consents as expecting.
	control
	// teenager is a minor who bought a pregnancy test; her parents live with her.
	teenager
	// parent lives with the teenager.
	parent
	// regular consented to everything ordinary, and changes their mind in the story.
	regular
	// leaver asks for erasure in the story.
	leaver
	// sporty has an interest that a social network reported.
	sporty
)

// The cast: people who exist in every shop, whatever is drawn after them.
func (m *maker) cast() {
	lone := func(from *nation, woman bool, given, family, city string, age int, part role) *Person {
		m.homes++
		return m.add(from, woman, given, family, city, age, false, part)
	}
	lone(&turkish, true, "Elif", "Aydın", "İzmir", 29, expecting)
	lone(&turkish, true, "Zeynep", "Koç", "İzmir", 29, control)
	lone(&czech, true, "Barbora", "Růžička", "Brno", 31, expecting)
	lone(&czech, true, "Anežka", "Fiala", "Brno", 31, control)
	lone(&irish, true, "Naomi", "Quinn", "Cork", 33, testOnly)
	lone(&irish, true, "Grace", "Palmer", "Cork", 33, twin)
	lone(&irish, true, "Claire", "Thornton", "Galway", 30, hinting)
	m.homes++
	m.add(&czech, true, "Tereza", "Novák", "Praha", 14, true, teenager)
	m.add(&czech, false, "Petr", "Novák", "Praha", 44, true, parent)
	m.add(&czech, true, "Hana", "Novák", "Praha", 43, true, parent)
	lone(&czech, false, "Ondřej", "Veselý", "Olomouc", 38, regular)
	lone(&irish, true, "Emily", "Walsh", "Dublin", 41, leaver)
	fan := lone(&turkish, false, "Çağrı", "Şimşek", "Eskişehir", 35, sporty)
	fan.Interest, fan.Position = "yoga", "39.7767,30.5206"
}

// scripted is what a member of the cast bought besides the ordinary groceries, as SKU
// and days before the last day.
var scripted = map[role][]struct {
	sku  string
	days int
}{
	expecting: {{"D-401", 40}, {"D-402", 31}, {"C-304", 24}, {"C-305", 17}, {"D-403", 9}, {"C-304", 4}},
	testOnly:  {{"D-401", 12}},
	hinting:   {{"C-304", 21}, {"C-305", 14}, {"D-403", 6}, {"C-304", 3}},
	teenager:  {{"D-401", 15}, {"C-304", 8}, {"C-305", 5}},
	sporty:    {{"G-701", 20}},
}

// baskets draws one person's purchases: a visit every few days, a handful of lines.
func (m *maker) baskets(person *Person) {
	if person.age < 12 {
		return
	}
	if person.role == twin {
		m.copyBaskets(person)
		return
	}
	visits := 3 + m.random.IntN(9)
	if person.role != none {
		visits = 10
	}
	for range visits {
		m.visit(person, m.random.IntN(Days), "")
	}
	for _, line := range scripted[person.role] {
		m.visit(person, line.days, line.sku)
	}
}

// copyBaskets gives the twin what testOnly bought, but for what was scripted.
func (m *maker) copyBaskets(person *Person) {
	var of string
	for i := range m.shop.People {
		if m.shop.People[i].role == testOnly {
			of = m.shop.People[i].Customer
		}
	}
	copied := map[string]string{}
	for _, p := range m.shop.Purchases {
		if p.Customer != of || p.SKU[0] != 'A' {
			continue
		}
		if copied[p.Order] == "" {
			m.orders++
			copied[p.Order] = order(m.orders)
		}
		p.Customer, p.Order = person.Customer, copied[p.Order]
		m.shop.Purchases = append(m.shop.Purchases, p)
	}
}

// visit adds one receipt, with the given article on it or none.
func (m *maker) visit(person *Person, daysAgo int, sku string) {
	m.orders++
	at := m.shop.LastDay.AddDate(0, 0, -daysAgo).
		Add(time.Duration(-24+8+m.random.IntN(12)) * time.Hour).
		Add(time.Duration(m.random.IntN(3600)) * time.Second)
	line := 0
	put := func(article *Product) {
		line++
		quantity := 1 + m.random.IntN(2)
		m.shop.Purchases = append(m.shop.Purchases, Purchase{
			Order: order(m.orders), Line: line, Customer: person.Customer, SKU: article.SKU,
			Quantity: quantity, Cents: quantity * article.Cents, At: at,
		})
	}
	for range 1 + m.random.IntN(4) {
		put(m.article(person))
	}
	for i := range products {
		if products[i].SKU == sku {
			put(&products[i])
		}
	}
}

// article draws an article by popularity. Minors buy neither alcohol nor tobacco, and
// the cast buys only groceries beyond its script, so that the story's control people
// really have nothing that points anywhere.
func (m *maker) article(person *Person) *Product {
	for {
		total := 0
		for i := range products {
			total += products[i].popularity
		}
		drawn := m.random.IntN(total)
		for i := range products {
			if drawn -= products[i].popularity; drawn >= 0 {
				continue
			}
			first := products[i].SKU[0]
			if person.role != none && first != 'A' || person.age < 18 && first == 'F' {
				break
			}
			return &products[i]
		}
	}
}
