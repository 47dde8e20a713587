/// Points in time as RFC 3339 writes them.
enum UTC {
    /// - nanoseconds: since 1970.
    static func text(_ nanoseconds: Int64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        let (year, month, day) = date(days: seconds / 86_400)
        let time = seconds % 86_400
        let clock = [time / 3_600, time / 60 % 60, time % 60].map(twoDigits)
        return "\(year)-\(twoDigits(month))-\(twoDigits(day))T\(clock.joined(separator: ":"))Z"
    }

    private static func twoDigits(_ number: Int64) -> String {
        number < 10 ? "0\(number)" : "\(number)"
    }

    /// The Gregorian date so many days after 1970-01-01. Years are counted from March, so that the
    /// leap day is a year's last.
    private static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
