package demo

// Common given names and family names of three languages, written down for this
// repository. Nobody is meant: people of the demo are drawn from these lists.

// nation is one group of the shop's customers.
type nation struct {
	jurisdiction string
	language     string
	women, men   []string
	families     []string
	// feminine gives the family name of a woman; nil keeps it.
	feminine func(string) string
	cities   []string
	mail     string
}

var turkish = nation{
	jurisdiction: "TR",
	language:     "tr",
	women: []string{
		"Elif", "Zeynep", "Ayşe", "Fatma", "Merve", "Esra", "Gülşen", "Şule", "İrem", "Büşra",
		"Çiğdem", "Özlem", "Derya", "Nazlı", "Tuğba", "Hülya", "Sevgi", "Yıldız", "Pınar", "Ebru",
	},
	men: []string{
		"Mehmet", "Mustafa", "Emre", "Burak", "Çağrı", "Oğuz", "Şükrü", "İbrahim", "Hüseyin", "Kağan",
		"Serkan", "Tolga", "Umut", "Yiğit", "Barış", "Cengiz", "Ömer", "Volkan", "Görkem", "Halil",
	},
	families: []string{
		"Yılmaz", "Kaya", "Demir", "Çelik", "Şahin", "Yıldırım", "Öztürk", "Aydın", "Özdemir", "Arslan",
		"Doğan", "Kılıç", "Aslan", "Çetin", "Koç", "Kurt", "Şimşek", "Polat", "Erdoğmuş", "Güneş",
	},
	cities: []string{"İstanbul", "Ankara", "İzmir", "Bursa", "Eskişehir", "Muğla"},
	mail:   "example.com",
}

var czech = nation{
	jurisdiction: "CZ",
	language:     "cs",
	women: []string{
		"Tereza", "Kateřina", "Jana", "Lucie", "Barbora", "Kristýna", "Zdeňka", "Věra", "Markéta", "Eliška",
		"Anežka", "Šárka", "Žaneta", "Ludmila", "Helena", "Alžběta", "Hana", "Petra", "Ivana", "Květa",
	},
	men: []string{
		"Petr", "Jiří", "Tomáš", "Ondřej", "Zdeněk", "Václav", "Lukáš", "Matěj", "Vojtěch", "Štěpán",
		"Radek", "Miloš", "Bohumil", "Jaroslav", "Dušan", "Kryštof", "Luboš", "Přemysl", "Marek", "Řehoř",
	},
	families: []string{
		"Novák", "Svoboda", "Dvořák", "Černý", "Procházka", "Kučera", "Veselý", "Horák", "Němec", "Pokorný",
		"Růžička", "Beneš", "Fiala", "Sedláček", "Doležal", "Zeman", "Kolář", "Kratochvíl", "Šťastný", "Říha",
	},
	feminine: czechFeminine,
	cities:   []string{"Praha", "Brno", "Ostrava", "Plzeň", "Olomouc", "Liberec"},
	mail:     "example.org",
}

var irish = nation{
	jurisdiction: "IE",
	language:     "en",
	women: []string{
		"Emily", "Charlotte", "Grace", "Hannah", "Lucy", "Megan", "Olivia", "Rebecca", "Sophie", "Victoria",
		"Abigail", "Beatrice", "Claire", "Eleanor", "Fiona", "Imogen", "Josephine", "Laura", "Naomi", "Phoebe",
	},
	men: []string{
		"Daniel", "Edward", "George", "Henry", "James", "Liam", "Matthew", "Nathan", "Oliver", "Patrick",
		"Robert", "Samuel", "Theodore", "William", "Arthur", "Benjamin", "Duncan", "Gregory", "Howard", "Stephen",
	},
	families: []string{
		"Walsh", "Byrne", "Kelly", "Murphy", "Doyle", "Gallagher", "Kennedy", "Lynch", "Murray", "Quinn",
		"Bennett", "Carter", "Fletcher", "Harrison", "Jennings", "Marshall", "Palmer", "Sheridan", "Thornton", "Whitfield",
	},
	cities: []string{"Dublin", "Cork", "Galway", "Limerick", "Waterford", "Kilkenny"},
	mail:   "example.net",
}

// czechFeminine forms the family name of a woman by the three patterns that occur in
// the list above: -ý to -á, -a to -ová, -ec to -cová, and -ek and consonants to -ová.
func czechFeminine(name string) string {
	letters := []rune(name)
	last := len(letters) - 1
	switch {
	case letters[last] == 'ý':
		return string(letters[:last]) + "á"
	case letters[last] == 'a':
		return string(letters[:last]) + "ová"
	case len(letters) > 2 && letters[last-1] == 'e' && (letters[last] == 'c' || letters[last] == 'k'):
		return string(letters[:last-1]) + string(letters[last]) + "ová"
	}
	return name + "ová"
}
