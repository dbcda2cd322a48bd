export const text = "from shared";
