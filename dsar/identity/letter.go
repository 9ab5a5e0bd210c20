package identity

import (
	"strings"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// letters bring a code, by language. They do not say what was asked for: whoever reads over
// somebody's shoulder learns a number.
var letters = map[string]struct{ subject, text string }{
	"en": {
		"Your code for a data protection request",
		`Somebody, probably you, has sent us a data protection request (number {request}).

Your code: {code}

Enter it within ten minutes, where you sent the request. Do not give it to anybody:
none of our staff will ask you for it.

If it was not you, you need not do anything. Without the code nothing happens.
`,
	},
	"tr": {
		"Kişisel veri başvurunuz için doğrulama kodu",
		`Büyük olasılıkla siz, bize bir kişisel veri başvurusu gönderdiniz (numara {request}).

Doğrulama kodunuz: {code}

Kodu on dakika içinde, başvuruyu gönderdiğiniz yere girin. Kimseye vermeyin:
çalışanlarımızdan hiçbiri bu kodu sizden istemez.

Başvuran siz değilseniz bir şey yapmanız gerekmez. Kod olmadan hiçbir işlem yapılmaz.
`,
	},
	"cs": {
		"Váš kód k žádosti o ochranu osobních údajů",
		`Někdo, nejspíše vy, nám poslal žádost týkající se osobních údajů (číslo {request}).

Váš kód: {code}

Zadejte jej do deseti minut tam, odkud jste žádost poslali. Nikomu jej nesdělujte:
nikdo z našich zaměstnanců se vás na něj nezeptá.

Pokud jste žádost neposlali vy, nemusíte nic dělat. Bez kódu se nic nestane.
`,
	},
}

func letterOf(language string, request dsar.RequestID, to privacy.Identifier, code privacy.Plain) outbox.Letter {
	form, ok := letters[language]
	if !ok {
		language, form = "en", letters["en"]
	}
	digits := code.RevealPersonalData()
	grouped := digits[:len(digits)/2] + " " + digits[len(digits)/2:]
	text := strings.NewReplacer("{request}", request.String(), "{code}", grouped).Replace(form.text)
	return outbox.Letter{To: to, Language: language, Subject: form.subject, Text: privacy.NewPlain(text), Code: code}
}
