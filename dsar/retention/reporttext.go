package retention

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// reportWords are the words of a report in one language.
type reportWords struct {
	title, law, origin, period, made, policy, runs, people, gap, late, inTime string
	destroyed, held, nothing                                                  string
	values, events, withheld                                                  string
	erasures, inForce, method                                                 string
}

var reportLanguages = map[string]reportWords{
	"en": {
		title:  "Report of the periodic destruction of personal data",
		law:    "GDPR Articles 5(1)(e), 5(2) and 17; KVKK Article 7 and the by-law on erasure, destruction and anonymization, Articles 7(3) and 11",
		origin: "Kept by", period: "Period: %s to %s", made: "Made on %s", policy: "Under the policies with digest sha256:%s; destruction and report are due every %s",
		runs:      "%d runs came to their end, %d broke off and were gone on with",
		people:    "The data of people were looked at %d times",
		gap:       "Longest time without a run: %d days",
		late:      "LATE: the time since the last run or report was longer than that.",
		inTime:    "All runs and this report are in time.",
		destroyed: "destroyed %d", held: "kept under a legal hold %d", nothing: "Nothing had come to the end of its period.",
		values: "values", events: "events", withheld: "what had been kept from erasures, its ground having ended",
		erasures: "%d people were erased at their request: with their keys %d identifiers, %d records and %d chunks of events",
		inForce:  "At the end %d legal holds were in force, and %d things kept from erasures",
		method:   "Method: the rows were deleted. Of people who were erased the only copy of the key was destroyed, so that no copy of their sealed data can be opened. Each step is an entry of the audit log.",
	},
	"tr": {
		title:  "Kişisel verilerin periyodik imhası tutanağı",
		law:    "GVKT madde 5(1)(e), 5(2) ve 17; KVKK madde 7 ile Kişisel Verilerin Silinmesi, Yok Edilmesi veya Anonim Hale Getirilmesi Hakkında Yönetmelik madde 7(3) ve 11",
		origin: "Kaydı tutan", period: "Dönem: %s – %s", made: "Düzenlenme tarihi: %s", policy: "Geçerli politikaların özeti sha256:%s; imha ve tutanak süresi %s",
		runs:      "%d imha işlemi tamamlandı, %d işlem yarıda kesildi ve sürdürüldü",
		people:    "Kişilerin verilerine %d kez bakıldı",
		gap:       "İmhasız geçen en uzun süre: %d gün",
		late:      "GECİKME: son imhadan veya tutanaktan bu yana geçen süre bundan uzundur.",
		inTime:    "Bütün imha işlemleri ve bu tutanak süresindedir.",
		destroyed: "imha edilen %d", held: "hukuki saklama nedeniyle tutulan %d", nothing: "Süresi dolan veri yoktu.",
		values: "değer", events: "olay", withheld: "silmelerden ayrı tutulan ve dayanağı sona eren veriler",
		erasures: "%d kişi talebi üzerine silindi: anahtarlarıyla birlikte %d tanımlayıcı, %d kayıt ve %d olay parçası",
		inForce:  "Dönem sonunda %d hukuki saklama yürürlükteydi ve silmelerden ayrı tutulan %d parça veri vardı",
		method:   "Yöntem: satırlar silindi. Silinen kişilerin anahtarının tek kopyası yok edildi; mühürlü verilerinin hiçbir kopyası artık açılamaz. Her adım denetim kaydında bir girdidir.",
	},
	"cs": {
		title:  "Protokol o pravidelné likvidaci osobních údajů",
		law:    "GDPR čl. 5 odst. 1 písm. e), čl. 5 odst. 2 a čl. 17; KVKK čl. 7 a prováděcí předpis o výmazu, likvidaci a anonymizaci, čl. 7 odst. 3 a čl. 11",
		origin: "Vede", period: "Období: %s až %s", made: "Vyhotoveno %s", policy: "Podle pravidel s otiskem sha256:%s; likvidace a protokol se konají každých %s",
		runs:      "%d běhů doběhlo do konce, %d bylo přerušeno a navázáno na ně",
		people:    "Údaje osob byly prohlédnuty %dkrát",
		gap:       "Nejdelší doba bez běhu: %d dní",
		late:      "POZDĚ: doba od posledního běhu nebo protokolu byla delší.",
		inTime:    "Všechny běhy i tento protokol jsou včas.",
		destroyed: "zlikvidováno %d", held: "ponecháno kvůli právní blokaci %d", nothing: "Žádným údajům neskončila doba uchování.",
		values: "hodnoty", events: "události", withheld: "údaje vyňaté z výmazů, jejichž důvod skončil",
		erasures: "%d osob bylo vymazáno na žádost: s jejich klíči %d identifikátorů, %d záznamů a %d částí událostí",
		inForce:  "Na konci platilo %d právních blokací a z výmazů bylo vyňato %d částí údajů",
		method:   "Způsob: řádky byly smazány. U vymazaných osob byla zničena jediná kopie klíče, takže žádnou kopii jejich zapečetěných údajů nelze otevřít. Každý krok je záznamem v auditním logu.",
	},
}

// text is what is signed: words for people, and the data that they say.
func (r *Report) text() string {
	w := reportLanguages[r.Language]
	d := &r.Destruction
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", reportHeader)
	line("%s", w.title)
	line("%s", w.law)
	line("%s: %s", w.origin, r.Origin)
	line(w.period, d.From.Format(time.RFC3339), d.To.Format(time.RFC3339))
	line(w.made, r.MadeAt.Format(time.RFC3339))
	line(w.policy, r.Policy, r.Every)
	line(w.runs, d.Runs, d.Broken)
	line(w.people, d.People)
	line(w.gap, d.LongestGap)
	if r.Overdue {
		line("%s", w.late)
	} else {
		line("%s", w.inTime)
	}
	if len(d.Counts) == 0 {
		line("%s", w.nothing)
	}
	for _, c := range d.Counts {
		line("- %s", r.countLine(w, c))
	}
	line(w.erasures, d.Erasures, d.Identifiers, d.Records, d.Chunks)
	line(w.inForce, d.Holds, d.Withheld)
	line("%s", w.method)
	data, err := json.Marshal(r)
	if err != nil {
		panic("retention: a report that is no JSON") // it has texts, times and numbers only
	}
	line("%s%s", reportData, data)
	return b.String()
}

// countLine says what became of one kind of thing: "Purchases, events: destroyed 12".
func (r *Report) countLine(w reportWords, c Count) string {
	what := map[string]string{whatValues: w.values, whatEvents: w.events, whatWithheld: w.withheld}[c.What]
	if what == "" {
		what = c.What
		if title := r.Titles[c.What]; title != "" {
			what = title
		}
	}
	if c.Category != "" {
		title := r.Titles[string(c.Category)]
		if title == "" {
			title = string(c.Category)
		}
		what = title + " (" + string(c.Category) + "), " + what
	}
	text := what + ": " + fmt.Sprintf(w.destroyed, c.Destroyed)
	if c.Held > 0 {
		text += ", " + fmt.Sprintf(w.held, c.Held)
	}
	return text
}
