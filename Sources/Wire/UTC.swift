/// Points in time as RFC 3339 writes them.
public enum UTC {
    /// - nanoseconds: since 1970.
    public static func text(_ nanoseconds: Int64) -> String {
        text(seconds: nanoseconds / 1_000_000_000)
    }

    /// - seconds: since 1970; what is outside the years 0 to 9999 is brought to their ends.
    public static func text(seconds: Int64) -> String {
        let seconds = min(max(seconds, -62_167_219_200), 253_402_300_799)
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let (year, month, day) = date(days: days)
        let time = seconds - days * 86_400
        let clock = [time / 3_600, time / 60 % 60, time % 60].map(twoDigits)
        let century = twoDigits(year / 100) + twoDigits(year % 100)
        return "\(century)-\(twoDigits(month))-\(twoDigits(day))T\(clock.joined(separator: ":"))Z"
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
