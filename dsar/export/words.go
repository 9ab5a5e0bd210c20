package export

import "slices"

// Languages are those in which an export can be read.
func Languages() []string { return []string{"en", "tr", "cs"} }

// knownLanguage returns the language, or English for one that is not here.
func knownLanguage(language string) string {
	if slices.Contains(Languages(), language) {
		return language
	}
	return "en"
}

// phrase is a text in English, Turkish and Czech.
type phrase [3]string

// phrases are the words of the pages. A test holds that each is there in each language.
var phrases = map[string]phrase{
	"title":             {"What is held about you", "Hakkınızda tutulan veriler", "Co o vás vedeme"},
	"title_portability": {"Your data to take along", "Yanınızda götüreceğiniz verileriniz", "Vaše údaje k přenosu"},
	"made":              {"Made on", "Hazırlandığı tarih", "Vytvořeno"},
	"request":           {"Request", "Başvuru", "Žádost"},
	"person":            {"You", "Siz", "Vy"},
	"jurisdiction":      {"Law that applies", "Uygulanan hukuk", "Rozhodné právo"},
	"held_since":        {"Held since", "Tutulduğu başlangıç", "Vedeno od"},
	"restricted":        {"Processing is restricted", "İşleme kısıtlı", "Zpracování je omezeno"},
	"yes":               {"yes", "evet", "ano"},
	"no":                {"no", "hayır", "ne"},
	"none":              {"None.", "Yok.", "Žádné."},
	"data":              {"Data", "Veriler", "Údaje"},
	"category":          {"Category", "Kategori", "Kategorie"},
	"attribute":         {"What", "Ne", "Co"},
	"value":             {"Value", "Değer", "Hodnota"},
	"source":            {"Source", "Kaynak", "Zdroj"},
	"quality":           {"Reliability", "Güvenilirlik", "Spolehlivost"},
	"as_of":             {"As of", "Tarihi", "Ke dni"},
	"events":            {"What happened", "Olaylar", "Události"},
	"event":             {"Event", "Olay", "Událost"},
	"at":                {"When", "Ne zaman", "Kdy"},
	"details":           {"Details", "Ayrıntılar", "Podrobnosti"},
	"number":            {"Number", "Adet", "Počet"},
	"pages":             {"Pages", "Sayfalar", "Stránky"},
	"page":              {"page", "sayfa", "strana"},
	"back":              {"Back to the beginning", "Başa dön", "Zpět na začátek"},
	"previous":          {"previous", "önceki", "předchozí"},
	"next":              {"next", "sonraki", "další"},
	"purposes":          {"What it is used for", "Kullanım amaçları", "K čemu se používá"},
	"purpose":           {"Purpose", "Amaç", "Účel"},
	"basis":             {"Legal basis", "Hukuki dayanak", "Právní základ"},
	"profiling":         {"Profiling", "Profilleme", "Profilování"},
	"recipients":        {"Who receives it", "Kimlere aktarılıyor", "Kdo je dostává"},
	"recipient":         {"Recipient", "Alıcı", "Příjemce"},
	"relationship":      {"Relationship", "İlişki", "Vztah"},
	"answered":          {"Answered", "Yanıtlanan", "Zodpovězeno"},
	"refused":           {"Refused", "Reddedilen", "Odmítnuto"},
	"last":              {"Last time", "Son sefer", "Naposledy"},
	"retention":         {"How long it is kept", "Saklama süreleri", "Jak dlouho se uchovává"},
	"period":            {"Period", "Süre", "Doba"},
	"from":              {"Counted from", "Başlangıç", "Počítáno od"},
	"law":               {"Law", "Mevzuat", "Právní předpis"},
	"unstated":          {"As long as the purposes above need it.", "Yukarıdaki amaçlar gerektirdiği sürece.", "Dokud to vyžadují účely uvedené výše."},
	"consents":          {"What you agreed to, refused and withdrew", "Onay, ret ve geri almalarınız", "S čím jste souhlasili, co jste odmítli a odvolali"},
	"channel":           {"Channel", "Kanal", "Kanál"},
	"choice":            {"Choice", "Tercih", "Volba"},
	"until":             {"Until", "Bitiş", "Do"},
	"notice":            {"Text shown", "Gösterilen metin", "Zobrazený text"},
	"inferences":        {"Conclusions about you", "Hakkınızdaki çıkarımlar", "Závěry o vás"},
	"held":              {"held", "tutuluyor", "vedeno"},
	"told":              {"told", "söylendi", "sděleno"},
	"points_to":         {"Points to (weight of threshold)", "İşaret ettiği (eşikteki ağırlık)", "Ukazuje na (váha z prahu)"},
	"rooms":             {"Clean rooms that contained you", "Yer aldığınız temiz odalar", "Čisté místnosti, ve kterých jste byli"},
	"rooms_note": {
		"A clean room is where companies learn about groups of people together, and never about a person. You were put there because you had agreed to its purpose, without your name or address; whoever withdraws, objects or is erased leaves at once. Answers are noisy numbers about many people and lead to nobody.",
		"Temiz oda, şirketlerin birlikte insan gruplarını öğrendiği, hiçbir zaman tek bir kişiyi öğrenmediği yerdir. Amacına onay verdiğiniz için adınız ve adresiniz olmadan alındınız; onayını geri alan, itiraz eden veya verileri silinen kişi hemen çıkar. Yanıtlar çok sayıda kişiye ait gürültülü sayılardır ve kimseye götürmez.",
		"Čistá místnost je místo, kde se firmy společně dozvídají o skupinách lidí, nikdy o jednom člověku. Byli jste v ní, protože jste souhlasili s jejím účelem, bez jména a adresy; kdo souhlas odvolá, podá námitku nebo je vymazán, ihned odchází. Odpovědi jsou zašuměná čísla o mnoha lidech a k nikomu nevedou.",
	},
	"room":          {"Room", "Oda", "Místnost"},
	"rooms_first":   {"First put there", "İlk alınış", "Poprvé zařazeni"},
	"rooms_last":    {"Last put there", "Son alınış", "Naposledy zařazeni"},
	"rooms_present": {"There now", "Şu anda içinde", "Nyní uvnitř"},
	"log":           {"Who asked about you, and what they were told", "Hakkınızda kim ne sordu, ne öğrendi", "Kdo se na vás ptal a co se dozvěděl"},
	"log_note": {
		"Every entry of the audit log that is about you, found by going through all of it. Your identity stands there only as a code that nobody can read without your key. Lists that recipients get of whom they may reach stand there without the people in them; which recipients may get such lists for which purposes is said above.",
		"Denetim kaydının sizinle ilgili bütün girdileri; kaydın tamamı taranarak bulunmuştur. Kimliğiniz orada yalnızca anahtarınız olmadan kimsenin okuyamayacağı bir kod olarak durur. Alıcıların kimlere ulaşabileceğini gösteren listeler kayıtta içindeki kişiler olmadan durur; hangi alıcının hangi amaçla böyle bir liste alabileceği yukarıda yazılıdır.",
		"Všechny záznamy auditního deníku o vás, nalezené průchodem celého deníku. Vaše totožnost v něm stojí jen jako kód, který bez vašeho klíče nikdo nepřečte. Seznamy toho, koho smějí příjemci oslovit, v něm stojí bez lidí, kteří jsou na nich; kteří příjemci je mohou dostat a k čemu, je uvedeno výše.",
	},
	"what":         {"What", "Ne oldu", "Co se stalo"},
	"by":           {"By", "Kim", "Kdo"},
	"released":     {"Released", "Verilen", "Sděleno"},
	"rule":         {"Rule", "Kural", "Pravidlo"},
	"entry":        {"Entry", "Kayıt no", "Záznam"},
	"rights":       {"Your rights", "Haklarınız", "Vaše práva"},
	"rights_text":  {rightsEN, rightsTR, rightsCS},
	"third_note":   {thirdEN, thirdTR, thirdCS},
	"machine_note": {"The same for machines is in data.json. manifest.json lists every file with its digest, and manifest.note signs it.", "Aynı içerik makineler için data.json dosyasındadır. manifest.json her dosyayı özetiyle listeler, manifest.note onu imzalar.", "Totéž pro stroje je v data.json. manifest.json uvádí každý soubor s jeho otiskem a manifest.note jej podepisuje."},

	"source.declared": {"you told it", "siz bildirdiniz", "sdělili jste"},
	"source.observed": {"seen in what you did with us", "bizdeki işlemlerinizden", "z vašeho jednání u nás"},
	"source.inferred": {"concluded from other data", "başka verilerden çıkarıldı", "odvozeno z jiných údajů"},
	"source.social":   {"seen on a social network", "sosyal ağda görüldü", "viděno na sociální síti"},
	"source.imported": {"from somebody else", "başkasından alındı", "od někoho jiného"},

	"quality.verified":   {"verified", "doğrulanmış", "ověřeno"},
	"quality.unverified": {"as it came", "doğrulanmamış", "neověřeno"},
	"quality.disputed":   {"disputed by you", "itirazınız var", "vámi zpochybněno"},

	"action.granted":   {"agreed", "onay verildi", "souhlas"},
	"action.refused":   {"refused", "reddedildi", "odmítnuto"},
	"action.withdrawn": {"withdrawn", "geri alındı", "odvoláno"},
	"action.objected":  {"objected", "itiraz edildi", "námitka"},

	"action.renewed":            {"agreed again", "onay yenilendi", "souhlas obnoven"},
	"action.expired":            {"ended", "sona erdi", "skončil"},
	"action.guardian_granted":   {"a guardian agreed", "veli onay verdi", "souhlas zákonného zástupce"},
	"action.guardian_withdrawn": {"a guardian withdrew", "veli geri aldı", "odvoláno zákonným zástupcem"},
	"actor.data_subject":        {"you", "siz", "vy"},
	"actor.guardian":            {"a guardian", "veli", "zákonný zástupce"},
	"actor.agent":               {"somebody for you", "sizin adınıza biri", "někdo za vás"},
	"actor.registry":            {"a registry", "kayıt sistemi", "rejstřík"},
	"actor.system":              {"the system", "sistem", "systém"},
	"guardian_verified":         {"verified", "doğrulanmış", "ověřeno"},
	"language":                  {"Language", "Dil", "Jazyk"},
	"evidence":                  {"Evidence", "Kanıt", "Doklad"},

	"from.event":        {"what happened", "olayın kendisi", "dne události"},
	"from.last_contact": {"your last contact", "son temasınız", "posledního kontaktu"},
	"from.year_end":     {"the end of the year", "yıl sonu", "konce roku"},

	"role.service": {"a service", "bir hizmet", "služba"},
	"role.dpo":     {"the data protection officer", "veri koruma görevlisi", "pověřenec pro ochranu údajů"},
	"role.auditor": {"an auditor", "bir denetçi", "auditor"},
	"role.ingest":  {"a data delivery", "bir veri teslimatı", "dodávka dat"},
	"role.":        {"the system", "sistem", "systém"},

	"relationship.first_party": {"the company itself", "şirketin kendisi", "sama společnost"},
	"relationship.processor":   {"works for the company", "şirket adına çalışır", "pracuje pro společnost"},
	"relationship.third_party": {"somebody else", "üçüncü kişi", "třetí strana"},

	"kind.query.answered":             {"question answered", "soru yanıtlandı", "dotaz zodpovězen"},
	"kind.query.denied":               {"question refused", "soru reddedildi", "dotaz odmítnut"},
	"kind.case.opened":                {"case opened", "dosya açıldı", "případ otevřen"},
	"kind.case.closed":                {"case closed", "dosya kapandı", "případ uzavřen"},
	"kind.consent.granted":            {"consent recorded", "onay kaydedildi", "souhlas zaznamenán"},
	"kind.consent.renewed":            {"consent renewed", "onay yenilendi", "souhlas obnoven"},
	"kind.consent.expired":            {"end of a consent noted", "onayın sona erdiği kaydedildi", "konec souhlasu zaznamenán"},
	"kind.consent.guardian_granted":   {"consent of a guardian recorded", "veli onayı kaydedildi", "souhlas zákonného zástupce zaznamenán"},
	"kind.consent.guardian_withdrawn": {"withdrawal by a guardian recorded", "velinin geri alması kaydedildi", "odvolání zákonným zástupcem zaznamenáno"},
	"kind.receipt.issued":             {"consent receipt issued", "onay makbuzu verildi", "vydáno potvrzení o souhlasu"},
	"kind.consent.refused":            {"refusal recorded", "ret kaydedildi", "odmítnutí zaznamenáno"},
	"kind.consent.withdrawn":          {"withdrawal recorded", "geri alma kaydedildi", "odvolání zaznamenáno"},
	"kind.consent.objected":           {"objection recorded", "itiraz kaydedildi", "námitka zaznamenána"},
	"kind.person.shown":               {"your data were looked at", "verilerinize bakıldı", "do vašich údajů bylo nahlédnuto"},
	"kind.person.reidentified":        {"your name was found from a pseudonym", "takma addan kimliğiniz bulundu", "z pseudonymu byla zjištěna vaše totožnost"},
	"kind.reidentification.denied":    {"finding your name was refused", "kimliğinizin bulunması reddedildi", "zjištění vaší totožnosti odmítnuto"},
	"kind.person.exported":            {"your data were handed out to you", "verileriniz size verildi", "údaje vám byly vydány"},
	"kind.person.rectified":           {"your data were corrected", "verileriniz düzeltildi", "vaše údaje byly opraveny"},
	"kind.person.restricted":          {"processing was restricted", "işleme kısıtlandı", "zpracování bylo omezeno"},
	"kind.person.unrestricted":        {"the restriction was lifted", "kısıtlama kaldırıldı", "omezení bylo zrušeno"},
	"kind.request.opened":             {"request received", "başvuru alındı", "žádost přijata"},
	"kind.request.verified":           {"identity verified", "kimlik doğrulandı", "totožnost ověřena"},
	"kind.request.started":            {"request taken up", "başvuru işleme alındı", "žádost se vyřizuje"},
	"kind.request.extended":           {"period extended", "süre uzatıldı", "lhůta prodloužena"},
	"kind.request.fulfilled":          {"request fulfilled", "başvuru karşılandı", "žádosti vyhověno"},
	"kind.request.denied":             {"request refused", "başvuru reddedildi", "žádost zamítnuta"},
	"kind.request.unverified":         {"identity not verified", "kimlik doğrulanamadı", "totožnost neověřena"},
	"kind.request.paused":             {"period suspended", "süre durduruldu", "lhůta pozastavena"},
	"kind.request.resumed":            {"period goes on", "süre yeniden işliyor", "lhůta opět běží"},
	"kind.request.noted":              {"note made on the request", "başvuruya not düşüldü", "k žádosti připsána poznámka"},
	"kind.request.notified":           {"message sent about the request", "başvuru hakkında ileti gönderildi", "odeslána zpráva o žádosti"},
	"kind.request.withdrawn":          {"request taken back", "başvuru geri alındı", "žádost vzata zpět"},
	"kind.request.refused":            {"a step of the request was not allowed", "başvurunun bir adımına izin verilmedi", "krok v žádosti nebyl dovolen"},
	"kind.export.fetched":             {"your data were fetched by the link", "verileriniz bağlantıyla alındı", "údaje byly vyzvednuty přes odkaz"},
	"kind.erasure.planned":            {"erasure prepared", "silme hazırlandı", "výmaz připraven"},
	"kind.erasure.approved":           {"erasure approved", "silme onaylandı", "výmaz schválen"},
	"kind.erasure.denied":             {"a step of the erasure was not allowed", "silmenin bir adımına izin verilmedi", "krok výmazu nebyl dovolen"},
	"kind.decision.shown":             {"a decision about you was looked at", "hakkınızdaki bir karara bakıldı", "bylo nahlédnuto do rozhodnutí o vás"},

	"basis.consent":              {"your consent", "açık rızanız", "váš souhlas"},
	"basis.contract":             {"a contract with you", "sizinle sözleşme", "smlouva s vámi"},
	"basis.legal_obligation":     {"a legal obligation", "yasal yükümlülük", "právní povinnost"},
	"basis.vital_interests":      {"vital interests", "hayati çıkarlar", "životně důležité zájmy"},
	"basis.public_task":          {"a public task", "kamu görevi", "úkol ve veřejném zájmu"},
	"basis.legitimate_interests": {"legitimate interests", "meşru menfaat", "oprávněné zájmy"},
}

const (
	rightsEN = "You may have wrong data corrected, have data erased or their use restricted, object to their use, take them along, and withdraw a consent at any time. You may complain to a supervisory authority."
	rightsTR = "Yanlış verilerin düzeltilmesini, verilerin silinmesini veya işlenmesinin kısıtlanmasını isteyebilir, kullanılmasına itiraz edebilir, verilerinizi yanınıza alabilir ve onayınızı her zaman geri alabilirsiniz. Kişisel Verileri Koruma Kuruluna veya yetkili denetim makamına şikâyette bulunabilirsiniz."
	rightsCS = "Můžete žádat opravu nesprávných údajů, výmaz nebo omezení zpracování, vznést námitku, údaje si přenést a souhlas kdykoli odvolat. Můžete podat stížnost u dozorového úřadu."
	thirdEN  = "Where a text is about other people too, they were taken out: [third person]. A capitalized word that is not your own name may have gone with them."
	thirdTR  = "Bir metin başkalarıyla da ilgiliyse onlar çıkarılmıştır: [third person]. Kendi adınız olmayan, büyük harfle başlayan bir sözcük de onlarla birlikte çıkmış olabilir."
	thirdCS  = "Kde se text týká i jiných lidí, byli vynecháni: [third person]. Mohlo s nimi zmizet i slovo s velkým písmenem, které není vaším jménem."
)

// say returns a phrase in a language. What has no words is shown as it is.
func say(language, key, otherwise string) string {
	p, ok := phrases[key]
	if !ok {
		return otherwise
	}
	return p[max(0, slices.Index(Languages(), language))]
}
