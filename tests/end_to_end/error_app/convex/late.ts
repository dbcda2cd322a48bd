export const name = "late";
