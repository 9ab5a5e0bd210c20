package demo

// Product is one article of the bundled shop.
type Product struct {
	SKU string
	// Group is the product group in the catalogue's own vocabulary.
	Group      string
	English    string
	Turkish    string
	Czech      string
	Cents      int
	popularity int
}

// Products lists the articles of the bundled shop. The ones without popularity are
// bought only by people whose basket is written down in the cast.
func Products() []Product { return append([]Product(nil), products...) }

var products = []Product{
	{SKU: "A-101", Group: "bakery", English: "sourdough loaf", Turkish: "ekşi mayalı ekmek", Czech: "kváskový chléb", Cents: 390, popularity: 30},
	{SKU: "A-102", Group: "bakery", English: "sesame ring", Turkish: "susamlı simit", Czech: "sezamový kroužek", Cents: 90, popularity: 22},
	{SKU: "A-103", Group: "grocery.dairy", English: "whole milk", Turkish: "tam yağlı süt", Czech: "plnotučné mléko", Cents: 145, popularity: 34},
	{SKU: "A-104", Group: "grocery.dairy", English: "plain yogurt", Turkish: "sade yoğurt", Czech: "bílý jogurt", Cents: 120, popularity: 28},
	{SKU: "A-105", Group: "grocery.dairy", English: "white cheese", Turkish: "beyaz peynir", Czech: "bílý sýr", Cents: 540, popularity: 20},
	{SKU: "A-106", Group: "fresh.vegetables", English: "tomatoes", Turkish: "domates", Czech: "rajčata", Cents: 280, popularity: 30},
	{SKU: "A-107", Group: "fresh.fruit", English: "apples", Turkish: "elma", Czech: "jablka", Cents: 220, popularity: 28},
	{SKU: "A-108", Group: "fresh.vegetables", English: "potatoes", Turkish: "patates", Czech: "brambory", Cents: 180, popularity: 24},
	{SKU: "A-109", Group: "fresh.fruit", English: "lemons", Turkish: "limon", Czech: "citrony", Cents: 150, popularity: 18},
	{SKU: "A-110", Group: "grocery.pasta_rice", English: "durum pasta", Turkish: "durum makarnası", Czech: "semolinové těstoviny", Cents: 160, popularity: 26},
	{SKU: "A-111", Group: "grocery.pantry", English: "bulgur wheat", Turkish: "pilavlık bulgur", Czech: "pšeničný bulgur", Cents: 210, popularity: 14},
	{SKU: "A-112", Group: "grocery.pantry", English: "red lentils", Turkish: "kırmızı mercimek", Czech: "červená čočka", Cents: 240, popularity: 16},
	{SKU: "A-113", Group: "grocery.pantry", English: "olive oil", Turkish: "zeytinyağı", Czech: "olivový olej", Cents: 990, popularity: 14},
	{SKU: "A-114", Group: "grocery.pasta_rice", English: "basmati rice", Turkish: "basmati pirinç", Czech: "rýže basmati", Cents: 330, popularity: 16},
	{SKU: "A-115", Group: "fresh.meat", English: "chicken breast", Turkish: "tavuk göğsü", Czech: "kuřecí prsa", Cents: 720, popularity: 20},
	{SKU: "A-116", Group: "fresh.meat", English: "minced beef", Turkish: "dana kıyma", Czech: "mleté hovězí", Cents: 850, popularity: 14},
	{SKU: "A-117", Group: "fresh.seafood", English: "smoked trout", Turkish: "füme alabalık", Czech: "uzený pstruh", Cents: 690, popularity: 6},
	{SKU: "A-118", Group: "grocery.sweets", English: "hazelnut chocolate", Turkish: "fındıklı çikolata", Czech: "oříšková čokoláda", Cents: 260, popularity: 20},
	{SKU: "A-119", Group: "grocery.sweets", English: "butter biscuits", Turkish: "tereyağlı bisküvi", Czech: "máslové sušenky", Cents: 190, popularity: 18},
	{SKU: "A-120", Group: "grocery.snacks", English: "salted pistachios", Turkish: "tuzlu fıstık", Czech: "solené pistácie", Cents: 480, popularity: 12},
	{SKU: "A-121", Group: "beverages.water", English: "mineral water", Turkish: "maden suyu", Czech: "minerální voda", Cents: 80, popularity: 30},
	{SKU: "A-122", Group: "beverages.juice", English: "orange juice", Turkish: "portakal suyu", Czech: "pomerančový džus", Cents: 270, popularity: 18},
	{SKU: "A-123", Group: "beverages.coffee_tea", English: "black tea", Turkish: "siyah çay", Czech: "černý čaj", Cents: 420, popularity: 20},
	{SKU: "A-124", Group: "beverages.coffee_tea", English: "ground coffee", Turkish: "çekilmiş kahve", Czech: "mletá káva", Cents: 610, popularity: 20},
	{SKU: "A-125", Group: "grocery.frozen", English: "frozen spinach", Turkish: "dondurulmuş ıspanak", Czech: "mražený špenát", Cents: 230, popularity: 12},
	{SKU: "A-126", Group: "grocery.frozen", English: "vanilla ice cream", Turkish: "vanilyalı dondurma", Czech: "vanilková zmrzlina", Cents: 520, popularity: 10},
	{SKU: "B-201", Group: "household.laundry", English: "laundry powder", Turkish: "çamaşır deterjanı", Czech: "prací prášek", Cents: 880, popularity: 12},
	{SKU: "B-202", Group: "household.cleaning", English: "dish soap", Turkish: "bulaşık deterjanı", Czech: "prostředek na nádobí", Cents: 240, popularity: 14},
	{SKU: "B-203", Group: "household.paper", English: "paper towels", Turkish: "kağıt havlu", Czech: "papírové utěrky", Cents: 310, popularity: 14},
	{SKU: "B-204", Group: "home.kitchen", English: "frying pan", Turkish: "döküm tava", Czech: "litinová pánev", Cents: 2900, popularity: 3},
	{SKU: "B-205", Group: "garden", English: "potting soil", Turkish: "saksı toprağı", Czech: "zahradnický substrát", Cents: 640, popularity: 4},
	{SKU: "B-206", Group: "home.furnishing", English: "beeswax candles", Turkish: "balmumu mumlar", Czech: "svíčky z včelího vosku", Cents: 700, popularity: 4},
	{SKU: "C-301", Group: "beauty.hair", English: "herbal shampoo", Turkish: "bitkisel şampuan", Czech: "bylinný šampon", Cents: 450, popularity: 12},
	{SKU: "C-302", Group: "beauty.oral", English: "mint toothpaste", Turkish: "naneli diş macunu", Czech: "mátová zubní pasta", Cents: 280, popularity: 14},
	{SKU: "C-303", Group: "beauty.bath", English: "olive soap", Turkish: "zeytinyağlı sabun", Czech: "olivové mýdlo", Cents: 190, popularity: 12},
	{SKU: "C-304", Group: "beauty.unscented_lotion", English: "unscented lotion", Turkish: "kokusuz losyon", Czech: "tělové mléko bez parfemace", Cents: 690, popularity: 2},
	{SKU: "C-305", Group: "beauty.cotton", English: "cotton wool", Turkish: "hidrofil pamuk", Czech: "kosmetická vata", Cents: 210, popularity: 3},
	{SKU: "C-306", Group: "beauty.makeup", English: "matte lipstick", Turkish: "mat ruj", Czech: "matná rtěnka", Cents: 990, popularity: 5},
	{SKU: "D-401", Group: "health.pregnancy_test", English: "pregnancy test", Turkish: "gebelik testi", Czech: "těhotenský test", Cents: 890},
	{SKU: "D-402", Group: "health.prenatal", English: "prenatal vitamins", Turkish: "gebelik vitamini", Czech: "prenatální vitaminy", Cents: 1890},
	{SKU: "D-403", Group: "health.minerals", English: "zinc and magnesium", Turkish: "çinko ve magnezyum", Czech: "zinek a hořčík", Cents: 790, popularity: 3},
	{SKU: "D-404", Group: "health.vitamins", English: "vitamin C tablets", Turkish: "C vitamini tableti", Czech: "tablety vitaminu C", Cents: 520, popularity: 6},
	{SKU: "D-405", Group: "health.pain_cold", English: "ibuprofen tablets", Turkish: "ibuprofen tablet", Czech: "ibuprofen tablety", Cents: 430, popularity: 5},
	{SKU: "D-406", Group: "health.tests", English: "glucose test strips", Turkish: "şeker ölçüm çubuğu", Czech: "testovací proužky na glukózu", Cents: 1990},
	{SKU: "D-407", Group: "health.smoking_cessation", English: "nicotine patches", Turkish: "nikotin bandı", Czech: "nikotinové náplasti", Cents: 2490},
	{SKU: "E-501", Group: "baby.diapers", English: "newborn diapers", Turkish: "yenidoğan bebek bezi", Czech: "novorozenecké pleny", Cents: 1290, popularity: 2},
	{SKU: "E-502", Group: "baby.food", English: "carrot baby puree", Turkish: "havuçlu bebek maması", Czech: "mrkvový příkrm", Cents: 170, popularity: 2},
	{SKU: "E-503", Group: "baby.care", English: "baby wipes", Turkish: "ıslak bebek mendili", Czech: "vlhčené ubrousky", Cents: 310, popularity: 3},
	{SKU: "F-601", Group: "alcohol.wine", English: "red wine", Turkish: "kırmızı şarap", Czech: "červené víno", Cents: 1150, popularity: 5},
	{SKU: "F-602", Group: "alcohol.beer", English: "pale lager", Turkish: "açık bira", Czech: "světlý ležák", Cents: 160, popularity: 6},
	{SKU: "F-603", Group: "tobacco.cigarettes", English: "cigarettes", Turkish: "filtreli sigara", Czech: "cigarety s filtrem", Cents: 690, popularity: 3},
	{SKU: "G-701", Group: "sports", English: "yoga mat", Turkish: "yoga minderi", Czech: "podložka na jógu", Cents: 3490, popularity: 2},
	{SKU: "G-702", Group: "sports", English: "resistance bands", Turkish: "direnç bandı", Czech: "posilovací gumy", Cents: 1590, popularity: 2},
	{SKU: "G-703", Group: "apparel", English: "hiking socks", Turkish: "yürüyüş çorabı", Czech: "turistické ponožky", Cents: 990, popularity: 3},
	{SKU: "H-801", Group: "leisure", English: "crime novel", Turkish: "polisiye roman", Czech: "detektivka", Cents: 1290, popularity: 4},
	{SKU: "H-802", Group: "toys", English: "wooden blocks", Turkish: "ahşap bloklar", Czech: "dřevěné kostky", Cents: 1990, popularity: 3},
	{SKU: "H-803", Group: "stationery", English: "squared notebook", Turkish: "kareli defter", Czech: "čtverečkovaný sešit", Cents: 240, popularity: 6},
	{SKU: "P-901", Group: "pets", English: "dog kibble", Turkish: "köpek maması", Czech: "granule pro psy", Cents: 1890, popularity: 4},
	{SKU: "P-902", Group: "pets", English: "cat litter", Turkish: "kedi kumu", Czech: "stelivo pro kočky", Cents: 890, popularity: 5},
	{SKU: "R-951", Group: "religious", English: "prayer book", Turkish: "dua kitabı", Czech: "modlitební kniha", Cents: 1490},
}
