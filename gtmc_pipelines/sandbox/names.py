"""Word lists of the imitated world: people's names with their email spelling, company words, places, titles."""

from __future__ import annotations


def _spelled(text: str) -> tuple[tuple[str, str], ...]:
    """Names with their email spelling, given after `=` where it isn't the lower-case name."""
    pairs = (word.partition("=") for word in text.split())
    return tuple((name, plain or name.lower()) for name, _, plain in pairs)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES: tuple[tuple[str, str], ...] = _spelled(
    "Anna Bruno Carla David Elena Felix Grace Hugo Ines Jonas Karin Liam Maria Nina Oscar Paula Quentin "
    "Rosa Simon Tessa Uwe Vera Walter Xenia Yara Zoë=zoe José=jose Łukasz=lukasz Björn=bjorn Siân=sian "
    "Søren=soren François=francois Müge=muge Nguyễn=nguyen 美咲=misaki Дмитрий=dmitri Ελένη=eleni "
    "İrem=irem Amélie=amelie Bram Chidi Deepa Emre Fatima Gül=gul Hana Ivan Jia Kwame Leila Marek Noor "
    "Olu Priya Ravi Sana Tomás=tomas Ulla Viktor Wanda Ximena Yusuf Aoife D'Arcy=darcy Jean-Luc=jeanluc"
)

LAST_NAMES: tuple[tuple[str, str], ...] = _spelled(
    "Adams Berg Castro Dahl Evans Fischer Garcia Hansen Ito Jansen Keller Larsen Moreau Novak Okafor Patel "
    "Quinn Rossi Schmidt Tanaka Usman Varga Weber Xu Young Zhang O'Brien=obrien Müller=mueller Núñez=nunez "
    "Søndergård=sondergard Kowalski Öztürk=ozturk Þórsdóttir=thorsdottir Lefèvre=lefevre D'Angelo=dangelo "
    "Smith-Jones=smithjones Nakamura Ødegaard=odegaard Šimić=simic Petrov Ali Baker Costa Diaz Ekström=ekstrom "
    "Ferrari Gupta Haddad Ivanova Jovanović=jovanovic Khan Lindqvist Mbeki Nilsson Oyelaran Papadopoulos "
    "Rahman Singh Torres Ueda Vasquez Wójcik=wojcik Yamamoto Zimmermann Abebe Björk=bjork Chen Dubois"
)

COMPANY_HEADS: tuple[str, ...] = _words(
    "Acorn Birch Cobalt Delta Ember Fjord Granite Harbor Indigo Juniper Kestrel Lumen Meridian Nimbus Orchard "
    "Pioneer Quartz Ridge Summit Tidal Umber Vertex Willow Xenon Yonder Zephyr Aurora Beacon Cedar Drift"
)
COMPANY_TAILS: tuple[str, ...] = _words(
    "Analytics Biotech Capital Dynamics Energy Foods Games Health Insurance Journeys Kitchens Logistics Media "
    "Networks Optics Partners Robotics Systems Textiles Ventures Works"
)
COMPANY_ENDINGS: tuple[str, ...] = ("Inc.", "GmbH", "Ltd", "AG", "S.A.", "B.V.", "& Sons", "ApS", "LLC")

INDUSTRIES: tuple[str, ...] = (
    "Technology",
    "Banking",
    "Healthcare",
    "Manufacturing",
    "Retail",
    "Energy",
    "Media",
    "Education",
    "Insurance",
    "Transportation",
    "Telecommunications",
    "Food & Beverage",
    "Biotechnology",
)

PLACES: tuple[tuple[str, str, str], ...] = (
    ("Oslo", "NO", "0150"),
    ("Berlin", "DE", "10115"),
    ("São Paulo", "BR", "01310-100"),
    ("Austin", "US", "73301"),
    ("Zürich", "CH", "8001"),
    ("København", "DK", "1050"),
    ("東京", "JP", "100-0001"),
    ("Kraków", "PL", "30-001"),
    ("Toronto", "CA", "M5H 2N2"),
    ("Bengaluru", "IN", "560001"),
    ("Lyon", "FR", "69001"),
)

STREETS: tuple[str, ...] = (
    "Main Street",
    "Harbour Road",
    "Straße des 17. Juni",
    "Rue de l'Église",
    "Elm Avenue",
    "Kongens gate",
    "Av. Paulista",
)

TITLES: tuple[str, ...] = (
    "VP Sales",
    "Head of Marketing",
    "CTO",
    "Account Executive",
    "Chief Revenue Officer",
    "Data Engineer",
    "Director, Procurement",
    "Customer Success Manager",
    "CFO",
    "Product Manager",
    "Développeuse principale",
    "Geschäftsführer",
    'SDR ("hunter")',
)

PRODUCTS: tuple[str, ...] = (
    "Renewal",
    "Expansion",
    "Pilot",
    "Platform + Add-ons",
    "Annual licence",
    'Bundle "Gold"',
    "Proof of concept",
)

REMARKS: tuple[str | None, ...] = (
    None,
    "Met at the fair.",
    'Said "call me in March".',
    "First line\nsecond line",
    "Grows fast 🚀",
    None,
    "Prefers e-mail; tabs\tand, commas",
    "Budget: 10 + 5 %",
    "Windows line\r\nending",
    None,
    "Ansprechpartner für Größe & Maß",
    "שלום",
    "back\\slash and 'single' quotes",
)
