package receipt

import "github.com/mahrem/mahrem/policies"

// languages are those a receipt can be read in.
var languages = []string{"en", "tr", "cs"}

// Languages lists them.
func Languages() []string { return append([]string(nil), languages...) }

// labels are the words of the printed receipt. A test holds that each has all languages.
var labels = map[string]policies.Text{
	"title":        {EN: "Consent receipt", TR: "Rıza makbuzu", CS: "Potvrzení o souhlasu"},
	"receipt":      {EN: "receipt", TR: "makbuz", CS: "potvrzení"},
	"issued":       {EN: "issued", TR: "düzenlenme", CS: "vystaveno"},
	"expires":      {EN: "good until", TR: "geçerlilik sonu", CS: "platí do"},
	"person":       {EN: "person (pseudonym)", TR: "kişi (takma ad)", CS: "osoba (pseudonym)"},
	"recipient":    {EN: "pseudonym of", TR: "takma adı veren", CS: "pseudonym pro"},
	"controller":   {EN: "controller", TR: "veri sorumlusu", CS: "správce"},
	"contact":      {EN: "contact", TR: "iletişim", CS: "kontakt"},
	"purpose":      {EN: "purpose", TR: "amaç", CS: "účel"},
	"channel":      {EN: "channel", TR: "kanal", CS: "kanál"},
	"all channels": {EN: "all", TR: "hepsi", CS: "všechny"},
	"choice":       {EN: "choice", TR: "seçim", CS: "volba"},
	"by":           {EN: "made by", TR: "seçimi yapan", CS: "učinil"},
	"at":           {EN: "made at", TR: "seçim tarihi", CS: "učiněno"},
	"until":        {EN: "ends by itself", TR: "kendiliğinden biter", CS: "končí samo"},
	"open end":     {EN: "when it is withdrawn", TR: "geri alındığında", CS: "odvoláním"},
	"explicit":     {EN: "explicit", TR: "açık rıza", CS: "výslovný"},
	"special":      {EN: "special categories", TR: "özel nitelikli veriler", CS: "zvláštní kategorie"},
	"notice":       {EN: "text shown", TR: "gösterilen metin", CS: "zobrazený text"},
	"none":         {EN: "none", TR: "yok", CS: "žádný"},
	"language":     {EN: "language of the text", TR: "metnin dili", CS: "jazyk textu"},
	"unknown":      {EN: "not recorded", TR: "kaydedilmemiş", CS: "nezaznamenáno"},
	"jurisdiction": {EN: "law of", TR: "hukuk", CS: "právo"},
	"source":       {EN: "where", TR: "nerede", CS: "kde"},
	"data":         {EN: "data", TR: "veriler", CS: "údaje"},
	"others":       {EN: "recipients", TR: "alıcılar", CS: "příjemci"},
	"withdrawal":   {EN: "to withdraw", TR: "geri almak için", CS: "odvolání"},
	"standing":     {EN: "what held when this was issued", TR: "düzenlendiğinde geçerli olan", CS: "co platilo při vystavení"},
	"yes":          {EN: "yes", TR: "evet", CS: "ano"},
	"no":           {EN: "no", TR: "hayır", CS: "ne"},
	"verified":     {EN: "authority verified", TR: "yetkisi doğrulandı", CS: "oprávnění ověřeno"},
	"unverified":   {EN: "authority not verified", TR: "yetkisi doğrulanmadı", CS: "oprávnění neověřeno"},

	"action.granted":            {EN: "agreed", TR: "rıza verildi", CS: "souhlas udělen"},
	"action.renewed":            {EN: "agreed again", TR: "rıza yenilendi", CS: "souhlas obnoven"},
	"action.refused":            {EN: "refused", TR: "reddedildi", CS: "odmítnuto"},
	"action.withdrawn":          {EN: "consent withdrawn", TR: "rıza geri alındı", CS: "souhlas odvolán"},
	"action.expired":            {EN: "ended by itself", TR: "süresi doldu", CS: "skončil"},
	"action.objected":           {EN: "objected", TR: "itiraz edildi", CS: "vznesena námitka"},
	"action.guardian_granted":   {EN: "agreed by a guardian", TR: "veli veya vasi rıza verdi", CS: "souhlas udělil zákonný zástupce"},
	"action.guardian_withdrawn": {EN: "withdrawn by a guardian", TR: "veli veya vasi rızayı geri aldı", CS: "souhlas odvolal zákonný zástupce"},

	"actor.data_subject": {EN: "the person", TR: "kişinin kendisi", CS: "subjekt údajů"},
	"actor.guardian":     {EN: "a guardian", TR: "veli veya vasi", CS: "zákonný zástupce"},
	"actor.agent":        {EN: "an agent", TR: "vekil", CS: "zmocněnec"},
	"actor.registry":     {EN: "a registry", TR: "bir sicil", CS: "rejstřík"},
	"actor.system":       {EN: "the system", TR: "sistem", CS: "systém"},

	"state.granted":          {EN: "agreed", TR: "rıza var", CS: "souhlas trvá"},
	"state.withdrawn":        {EN: "withdrawn", TR: "geri alınmış", CS: "odvoláno"},
	"state.refused":          {EN: "refused", TR: "reddedilmiş", CS: "odmítnuto"},
	"state.objected":         {EN: "objected", TR: "itiraz edilmiş", CS: "vznesena námitka"},
	"state.expired":          {EN: "ended", TR: "süresi dolmuş", CS: "skončilo"},
	"state.never_asked":      {EN: "never asked", TR: "hiç sorulmamış", CS: "nikdy nedotázáno"},
	"state.stale_notice":     {EN: "agreed to a text that has changed since", TR: "rıza, sonradan değişen bir metne verilmiş", CS: "souhlas s textem, který se mezitím změnil"},
	"state.guardian_missing": {EN: "a guardian's consent is missing", TR: "veli veya vasinin rızası eksik", CS: "chybí souhlas zákonného zástupce"},
}

// say is a label in a language, or the key's own word when there is none: a later version
// may know words that this one does not.
func say(kind, key, language string) string {
	if text, ok := labels[kind+key]; ok {
		return text.In(language)
	}
	return key
}
